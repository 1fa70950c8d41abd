import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { failedOf, type Handler, invocationContext, sqsEvent } from '../support/stages.ts';
import { type Functions, startFunctions } from './functions.ts';
import { Output } from './output.ts';
import { canary, longRuns, seeded, text, timeoutMs } from './settings.ts';

let functions: Functions;
let notify: Handler;
let output: Output;
beforeAll(async () => {
  functions = await startFunctions();
  await functions.db.sql('CREATE TABLE people (id uuid, email text, name text)');
  await functions.db.sql('CREATE OR REPLACE VIEW evergrant.users AS SELECT id, email, name FROM people');
  notify = await functions.load('notifier');
});
beforeEach(() => {
  output = new Output();
});
afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await functions?.stop();
});

const storable = text.map((value) => value.toWellFormed().replaceAll('\0', ''));
const address = fc.oneof(
  storable.map((value) => canary + value),
  fc.constantFrom(
    '',
    ' ',
    `${canary}@`,
    `a@example.com\r\nBcc: ${canary}@example.com`,
    `a@example.com, ${canary}@example.com`,
    `"${canary}" <a@example.com>`,
    `${canary}@${'x'.repeat(300)}.example`,
    `ü@${canary}.example`,
  ),
);
const person = fc.record({
  email: fc.option(address),
  name: fc.option(
    fc.oneof(storable, fc.constant(`${canary}\r\nBcc: x`), fc.constant(canary.repeat(100_000))),
  ),
  provider: storable,
  providerName: fc.oneof(storable, fc.constant('<script>'), fc.constant('x\r\nBcc: y')),
  code: fc.oneof(fc.constantFrom('invalid_grant', 'access_token_ended', '__proto__', ''), storable),
  kind: fc.constantFrom('reconnect', 'disconnected', null),
});

describe(`users of any name and address ${seeded}`, () => {
  it(
    'keep no other from being told, and are told in the app themselves',
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(person, { minLength: 1, maxLength: 6 }), async (people) => {
          output.forget();
          await functions.db.clear();
          await functions.db.sql('TRUNCATE people');
          const insert = async ({
            email,
            name,
            provider,
            providerName,
            code,
            kind,
          }: (typeof people)[number]) => {
            const event = await functions.db.insertEvent({
              notification_type: 'integration_disconnected',
              email_kind: kind,
              provider,
              provider_name: providerName,
              failure_code: code,
            });
            await functions.db.sql('INSERT INTO people VALUES ($1, $2, $3)', [event.user_id, email, name]);
            return event;
          };
          const good = () => ({
            email: `${randomUUID()}@example.com`,
            name: 'Ada',
            provider: 'acme',
            providerName: 'Acme Calendar',
            code: 'invalid_grant',
            kind: 'disconnected' as const,
          });
          const [first, last] = [good(), good()];
          const events = [];
          for (const each of [first, ...people, last]) events.push(await insert(each));
          const messages = events.map(({ id }) => ({ version: 1, eventId: id }));
          const failed = failedOf(await notify(sqsEvent(...messages), invocationContext(200_000)));
          expect(failed).not.toContain('message-0');
          expect(failed).not.toContain(`message-${events.length - 1}`);
          for (const { email } of [first, last]) expect(await functions.inboxOf(email)).toHaveLength(1);
          const told = await functions.db.sql<{ event_id: string }>('SELECT event_id FROM notifications');
          expect(told.map(({ event_id }) => event_id).toSorted()).toEqual(
            events.map(({ id }) => id).toSorted(),
          );
          // What SES does not take is either given up or comes again; nothing is thrown.
          expect(output.all).not.toContain('event failed');
          expect(output.all).not.toContain(canary);
        }),
        longRuns(15),
      ),
    timeoutMs,
  );
});
