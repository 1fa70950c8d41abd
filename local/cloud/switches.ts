import type { EmailFault } from './email.ts';
import type { Json } from './json.ts';
import { isObject } from './json.ts';

/** Bad input of a caller: the message names the field and the fix. */
export class InvalidInput extends Error {
  override name = 'InvalidInput';
}

/** What `GET /_switches` answers. */
export function switchesHelp(functionNames: string[]): object {
  return {
    switches: [
      {
        request: 'POST /_switches/functions/{name}/kill',
        effect: 'Kills the processes of a function without warning, as a crash of its host would.',
        functions: functionNames,
      },
      {
        request: 'PUT /_switches/email',
        effect: 'Makes the email service fail until DELETE.',
        bodies: [
          { hang: true },
          { delayMs: 2000 },
          { status: 429, body: { __type: 'TooManyRequestsException' } },
        ],
      },
      { request: 'DELETE /_switches/email', effect: 'Mends the email service.' },
      {
        request: 'POST /_switches/database/cut',
        effect: 'Breaks every connection to the database cluster that the stack creates, as a failover does.',
      },
    ],
  };
}

/**
 * Reads the body of `PUT /_switches/email`.
 * @throws InvalidInput
 */
export function parseEmailFault(body: Json): EmailFault {
  if (!isObject(body)) throw new InvalidInput('The body must be an object, such as {"hang": true}.');
  const { hang, delayMs, status, body: answer } = body;
  const kinds = [hang, delayMs, status].filter((kind) => kind !== undefined).length;
  if (kinds !== 1)
    throw new InvalidInput('Give exactly one of hang (true), delayMs (a number) and status (with body).');
  if (hang !== undefined) {
    if (hang !== true)
      throw new InvalidInput('hang must be true; to mend the service, send DELETE /_switches/email.');
    return { hang };
  }
  if (delayMs !== undefined) {
    if (typeof delayMs !== 'number' || delayMs < 0)
      throw new InvalidInput('delayMs must be a number, 0 or more.');
    return { delayMs };
  }
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599) {
    throw new InvalidInput('status must be an HTTP status from 200 to 599.');
  }
  if (answer !== undefined && !isObject(answer)) throw new InvalidInput('body must be an object.');
  return { status, body: answer ?? {} };
}
