import { describe, expect, it } from 'vitest';
import { claimDue } from '../../../lambdas/postgres/claim-due.ts';
import { claimEmail } from '../../../lambdas/postgres/claim-email.ts';
import { claimLapsing } from '../../../lambdas/postgres/claim-lapsing.ts';
import type { Database } from '../../../lambdas/postgres/database.ts';
import { giveUpClaims } from '../../../lambdas/postgres/give-up-claims.ts';
import { recordEmail } from '../../../lambdas/postgres/record-email.ts';
import { recordFailures } from '../../../lambdas/postgres/record-failures.ts';
import { recordLapses } from '../../../lambdas/postgres/record-lapses.ts';
import { relayEvents } from '../../../lambdas/postgres/relay-events.ts';
import { releaseClaims } from '../../../lambdas/postgres/release-claims.ts';
import { releaseEmail } from '../../../lambdas/postgres/release-email.ts';
import { reopenClaims } from '../../../lambdas/postgres/reopen-claims.ts';
import { startAttempts } from '../../../lambdas/postgres/start-attempts.ts';
import { storeRefreshed } from '../../../lambdas/postgres/store-refreshed.ts';
import { writeNotification } from '../../../lambdas/postgres/write-notification.ts';
import { idsOfBind, kindOf, MessageReader } from '../../../local/chaos/statements.ts';

const id = '0b7d3f1e-6a58-4c1b-9d2f-1a2b3c4d5e6f';

/** The texts that a call sends. */
async function textsOf(call: (database: Database) => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  await call({
    query: async (statement) => {
      texts.push(statement);
      return [];
    },
  }).catch(() => undefined);
  return texts;
}

const hold = { holdSeconds: 1 };
const refreshed = {
  id,
  usedToken: 'used',
  claim: '1',
  accessToken: 'a',
  refreshToken: 'r',
  expiresInSeconds: 60,
  refreshTokenExpiresInSeconds: null,
  authorizationLifetimeSeconds: null,
  scope: null,
  kept: {},
  providerName: 'Strict CRM',
};
const policy = { steps: [], eventRelayHoldSeconds: 1, waitingHoldSeconds: 1, lapseWarningSeconds: 1 };
const window = {
  windowSeconds: 60,
  provider: null,
  excludedProviders: [],
  after: null,
  limit: 1,
  collectedAt: null,
  ...hold,
};

describe('statements of the functions', () => {
  it.each([
    ['claim', (database: Database) => claimDue(database, window)],
    ['claim', (database: Database) => claimLapsing(database, { ...window, leadSeconds: 1 })],
    ['start', (database: Database) => startAttempts(database, { ids: [id], ...hold })],
    ['store', (database: Database) => storeRefreshed(database, [refreshed], policy)],
    ['store', (database: Database) => storeRefreshed(database, [{ ...refreshed, kept: { a: 'b' } }], policy)],
    ['record-failures', (database: Database) => recordFailures(database, [], policy)],
    ['claim-email', (database: Database) => claimEmail(database, id, 1)],
    ['record-email', (database: Database) => recordEmail(database, id, { sent: true, outcome: 'x' })],
    ['release-email', (database: Database) => releaseEmail(database, id, 'infinity')],
    [
      'write-notification',
      (database: Database) =>
        writeNotification(database, {
          eventId: id,
          userId: id,
          type: 'integration_warning',
          title: '',
          message: '',
          actionUrl: '',
          actionLabel: '',
          metadata: {},
        }),
    ],
    ['other', (database: Database) => recordLapses(database, [], { ...policy, restSeconds: 1 })],
    ['other', (database: Database) => giveUpClaims(database, [])],
    ['other', (database: Database) => releaseClaims(database, [])],
    ['other', (database: Database) => reopenClaims(database, [])],
    ['other', (database: Database) => relayEvents(database, { ...hold, limit: 1 })],
  ] as const)('are told apart: %s (%#)', async (kind, call) => {
    const texts = await textsOf(call);
    expect(texts).toHaveLength(1);
    expect(texts.map(kindOf)).toEqual([kind]);
  });

  it('name their integrations in the first parameter', () => {
    const parameter = Buffer.from(`{"${id}","${id}"}`);
    const head = Buffer.from([0, 0, 0, 0, 0, 2, 0, 0, 0, parameter.length]);
    expect(idsOfBind(Buffer.concat([head, parameter, Buffer.from([0, 0, 0, 0])]))).toEqual([id, id]);
  });

  it('have no integrations where the first parameter is null or missing', () => {
    expect(idsOfBind(Buffer.from([0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0]))).toEqual([]);
    expect(idsOfBind(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0]))).toEqual([]);
  });
});

describe('the reader of messages', () => {
  const opening = Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]);
  const sync = Buffer.from([0x53, 0, 0, 0, 4]);
  const parse = Buffer.concat([Buffer.from([0x50, 0, 0, 0, 6]), Buffer.from('ab')]);

  it('finds messages whole, however the bytes come', () => {
    const bytes = Buffer.concat([opening, parse, sync]);
    for (const size of [1, 3, bytes.length]) {
      const reader = new MessageReader('client');
      const messages = [];
      for (let at = 0; at < bytes.length; at += size)
        messages.push(...reader.push(bytes.subarray(at, at + size)));
      expect(messages.map(({ type }) => type)).toEqual(['opening', 'P', 'S']);
      expect(messages[1]?.content.toString()).toBe('ab');
      expect(Buffer.concat(messages.map((message) => message.bytes))).toEqual(bytes);
    }
  });

  it('takes what a server sends as typed from the begin', () => {
    expect(new MessageReader('server').push(sync).map(({ type }) => type)).toEqual(['S']);
  });
});
