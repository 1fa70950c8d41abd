// Runs a bundled handler the way Lambda's Node 24 runtime does: loads it, then speaks the Runtime API in a loop.
// Plain JavaScript, because stripping types would double the start time of every execution environment.
import { existsSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

shiftWallClock(Number(process.env.LOCAL_CLOCK_OFFSET_MS ?? 0));
delete process.env.LOCAL_CLOCK_OFFSET_MS;

const { AWS_LAMBDA_RUNTIME_API, _HANDLER, LAMBDA_TASK_ROOT } = process.env;
const base = `http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const agent = new http.Agent({ keepAlive: true });
let currentRequestId = null;

/** Makes the wall clock wrong for everything in this process; the monotonic clock and timers stay as they are. */
function shiftWallClock(offsetMs) {
  if (offsetMs === 0) return;
  const RightDate = Date;
  const now = () => RightDate.now() + offsetMs;
  globalThis.Date = new Proxy(RightDate, {
    get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
    apply: () => new RightDate(now()).toString(),
    construct: (target, given, newTarget) =>
      Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget),
  });
  RightDate.prototype.constructor = globalThis.Date;
  Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + offsetMs });
}

function call(method, address, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${base}${address}`, { method, agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ headers: response.headers, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

function describe(error) {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

/** Reports an error of the invocation in progress, or of the initialization when there is none. */
function report(description) {
  const address = currentRequestId ? `/invocation/${currentRequestId}/error` : '/init/error';
  return call('POST', address, JSON.stringify(description), {
    'lambda-runtime-function-error-type': description.errorType,
  });
}

async function fail(type, error, exitCode) {
  console.error(error instanceof Error ? error.stack : error);
  await report({ ...describe(error), errorType: type }).catch(() => {});
  process.exit(exitCode);
}

process.on('uncaughtException', (error) => fail(error?.name ?? 'Error', error, 129));
process.on('unhandledRejection', (error) => fail('Runtime.UnhandledPromiseRejection', error, 128));

async function loadHandler() {
  const dot = _HANDLER.lastIndexOf('.');
  const [moduleName, exportName] = [_HANDLER.slice(0, dot), _HANDLER.slice(dot + 1)];
  const candidates = ['', '.js', '.mjs', '.cjs'].map((suffix) =>
    path.join(LAMBDA_TASK_ROOT, moduleName + suffix),
  );
  const file = candidates.find((candidate) => existsSync(candidate));
  if (!file) throw runtimeError('Runtime.ImportModuleError', `Error: Cannot find module '${moduleName}'`);
  const module = await import(pathToFileURL(file).href).catch((error) => {
    if (error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND')
      error.name = 'Runtime.ImportModuleError';
    else if (error instanceof SyntaxError) error.name = 'Runtime.UserCodeSyntaxError';
    throw error;
  });
  const handler = module[exportName] ?? module.default?.[exportName];
  if (typeof handler !== 'function') {
    throw runtimeError('Runtime.HandlerNotFound', `${_HANDLER} is undefined or not exported`);
  }
  if (handler.length >= 3) {
    throw runtimeError(
      'Runtime.CallbackHandlerDeprecated',
      'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. Use an async function.',
    );
  }
  return handler;
}

function runtimeError(name, message) {
  return Object.assign(new Error(message), { name });
}

function contextFrom(headers) {
  const deadlineMs = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    // As Lambda's runtime reckons it: below 0 by a clock that is ahead.
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
}

async function invoke(handler, event, context) {
  let result;
  try {
    result = JSON.stringify((await handler(event, context)) ?? null);
  } catch (error) {
    console.error(error instanceof Error ? error.stack : error);
    await report(describe(error));
    return;
  }
  await call('POST', `/invocation/${currentRequestId}/response`, result);
}

let handler;
try {
  handler = await loadHandler();
} catch (error) {
  await fail(error?.name ?? 'Error', error, 1);
}

for (;;) {
  // A refused or broken connection means that the local cloud is gone, and this environment with it.
  const { headers, body } = await call('GET', '/invocation/next').catch(() => process.exit(0));
  currentRequestId = headers['lambda-runtime-aws-request-id'];
  await invoke(handler, JSON.parse(body), contextFrom(headers)).catch(() => process.exit(0));
}
