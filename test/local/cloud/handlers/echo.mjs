export async function handler(event, context) {
  if (event?.fail) throw new TypeError('as asked');
  if (event?.exit !== undefined) process.exit(event.exit);
  console.log('echoing');
  return {
    event,
    env: process.env,
    functionName: context.functionName,
    awsRequestId: context.awsRequestId,
    remainingTimeMs: context.getRemainingTimeInMillis(),
  };
}

export async function hang() {
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

export async function withCallback(_event, _context, callback) {
  callback(null, 'too old');
}
