/**
 * Makes HTTP calls one after the other, signed as the SDKs sign (the local endpoints read the access key id and check no
 * signature), and returns the answers. As the consumer of a queue it takes every message.
 */
export async function handler({ calls = [] }) {
  const answers = [];
  for (const { service, path = '/', target, type, body } of calls) {
    const endpoint = process.env[`AWS_ENDPOINT_URL_${service}`] ?? process.env.AWS_ENDPOINT_URL;
    const credential = `${process.env.AWS_ACCESS_KEY_ID}/20000101/us-east-1/x/aws4_request`;
    const response = await fetch(endpoint + path, {
      method: 'POST',
      headers: {
        authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
        'content-type': type ?? 'application/json',
        ...(target && { 'x-amz-target': target }),
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    answers.push({
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await response.text(),
    });
  }
  console.log(`made ${calls.length} calls`);
  return answers;
}
