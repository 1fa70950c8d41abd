import { REGION } from './intrinsics.ts';

/** A message as ReceiveMessage gives it. */
export interface SqsMessage {
  MessageId: string;
  ReceiptHandle: string;
  Body: string;
  MD5OfBody: string;
  MD5OfMessageAttributes?: string;
  Attributes?: Record<string, string>;
  MessageAttributes?: Record<string, SqsMessageAttribute>;
}

export interface SqsMessageAttribute {
  DataType: string;
  StringValue?: string;
  BinaryValue?: string;
}

/** A failed answer of an SQS API. */
export class SqsCallError extends Error {
  override name = 'SqsCallError';
  readonly code: string;

  constructor(action: string, code: string, message: string) {
    super(`${action}: ${message}`);
    this.code = code;
  }
}

/** Calls one action of an SQS API. */
export type SqsCall = <Result>(
  action: string,
  parameters: Record<string, unknown>,
  signal?: AbortSignal,
) => Promise<Result>;

/**
 * A caller of an SQS API that signs nothing: the local server checks no signatures. It calls as the account's
 * administrator, or with the role of a function.
 * @throws SqsCallError (from the calls) with the service's error code.
 */
export function createSqsCaller(endpoint: string, functionId = ''): SqsCall {
  const authorization = `AWS4-HMAC-SHA256 Credential=LOCAL${functionId}/20000101/${REGION}/sqs/aws4_request`;
  return async (action, parameters, signal) => {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `AmazonSQS.${action}`,
        authorization,
      },
      body: JSON.stringify(parameters),
      ...(signal ? { signal } : {}),
    });
    const body = (await response.json()) as { __type?: string; message?: string };
    if (!response.ok) {
      throw new SqsCallError(
        action,
        (body.__type ?? '').replace(/^.*#/, ''),
        body.message ?? String(response.status),
      );
    }
    return body as never;
  };
}
