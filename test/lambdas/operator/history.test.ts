import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { history } from '../../../lambdas/operator/history.ts';
import { keys } from '../../../lambdas/operator/keys.ts';
import { status } from '../../../lambdas/operator/status.ts';
import { closeCircuit } from '../../../lambdas/postgres/close-circuit.ts';
import { countTokenHeads } from '../../../lambdas/postgres/count-token-heads.ts';
import { openCircuit } from '../../../lambdas/postgres/open-circuit.ts';
import { sealedHead } from '../../../lambdas/sealing/sealed-head.ts';
import { TokenSealer } from '../../../lambdas/sealing/token-sealer.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
let sealer: TokenSealer;
beforeAll(async () => {
  db = await testDatabase();
  sealer = await TokenSealer.fromSecret(JSON.stringify({ current: randomBytes(32).toString('hex') }));
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const at = (minute: number) => new Date(Date.UTC(2026, 4, 1, 10, minute));
const ask = (id: string) => history(db.database, id, { attemptHoldSeconds: 45 });

describe('the history of an integration', () => {
  it('has what its row knows, oldest first', async () => {
    const row = await db.insertIntegration({
      created_at: at(0),
      last_refresh_attempt: at(9),
      last_failure_at: at(10),
      last_refresh_success: at(5),
      consecutive_failures: 1,
      heldFor: 60,
      refresh_claim_open: true,
      disconnect_reason: null,
    });
    const report = await ask(row.id);
    expect(report.integration).toEqual({
      provider: 'acme',
      userId: row.user_id,
      status: 'connected',
      disconnectReason: null,
      expiresAt: row.expires_at!.toISOString(),
      refreshTokenExpiresAt: null,
      consecutiveFailures: 1,
      consecutiveTransientFailures: 0,
      heldUntil: row.refresh_held_until!.toISOString(),
      claimOpen: true,
      attempting: false,
      lastRefreshAttempt: at(9).toISOString(),
      lastRefreshSuccess: at(5).toISOString(),
      lastFailureAt: at(10).toISOString(),
      doubtfulSince: null,
      accessToken: 'plain',
      refreshToken: 'plain',
      keyId: null,
    });
    expect(report.entries.map((entry) => [entry.at, entry.what])).toEqual([
      [at(0).toISOString(), 'connected'],
      [at(5).toISOString(), 'refreshed'],
      [at(9).toISOString(), 'attempted'],
      [at(10).toISOString(), 'failed'],
    ]);
    expect(report.entries[3]!.detail).toContain('1 permanent, 0 transient');
  });

  it('says of an attempt that nothing came of it', async () => {
    const { id } = await db.insertIntegration({ last_refresh_attempt: at(9), last_refresh_success: at(5) });
    expect((await ask(id)).entries.find(({ what }) => what === 'attempted')!.detail).toContain('no result');
  });

  it('tells an attempt that is under way by its hold, and that its provider is not called', async () => {
    const { id } = await db.insertIntegration();
    const attempted = (seconds: number) =>
      db.sql(
        `UPDATE integrations SET last_refresh_attempt = now(), refresh_held_until = now() + make_interval(secs => $2)
         WHERE id = $1`,
        [id, seconds],
      );
    await attempted(45);
    expect(await ask(id)).toMatchObject({ integration: { attempting: true }, circuit: null });
    await attempted(150);
    expect((await ask(id)).integration?.attempting).toBe(false);
    await openCircuit(db.database, { provider: 'acme' });
    expect((await ask(id)).circuit).toMatchObject({ provider: 'acme', cause: 'by_hand' });
    await openCircuit(db.database, { provider: 'globex' });
    await closeCircuit(db.database, { provider: 'acme', trustedSeconds: 60 });
    expect((await ask(id)).circuit).toBeNull();
  });

  it('has every threshold event, whom it told and how', async () => {
    const { id, user_id } = await db.insertIntegration({ created_at: at(0) });
    const event = (overrides: Parameters<TestDatabase['insertEvent']>[0]) =>
      db.insertEvent({ integration_id: id, user_id: user_id!, ...overrides });
    await event({
      created_at: at(1),
      notification_type: null,
      email_kind: 'reconnect',
      consecutive_failures: 1,
      email_sent_at: at(2),
      email_outcome: 'ses-message-1',
      handled_at: at(2),
    });
    const warned = await event({ created_at: at(3), handled_at: at(4) });
    await db.sql(
      `INSERT INTO notifications (user_id, type, title, event_id, created_at, is_read)
       VALUES ($1, 'integration_warning', 't', $2, $3, true)`,
      [user_id, warned.id, at(4)],
    );
    await event({
      created_at: at(5),
      notification_type: 'integration_disconnected',
      email_kind: 'disconnected',
      consecutive_failures: 3,
      email_outcome: 'no_address',
      relay_count: 2,
    });
    await event({
      created_at: at(6),
      notification_type: 'integration_rate_limit',
      consecutive_failures: 0,
      consecutive_transient_failures: 5,
      failure_code: 'http_503',
      relay_count: 1,
    });
    await db.insertEvent({ created_at: at(7) });
    const { entries, meanings } = await ask(id);
    expect(meanings).toEqual({
      invalid_grant: expect.stringMatching(/^The provider calls the grant invalid/),
      http_503: expect.stringMatching(/^The provider has a fault of its own/),
    });
    expect(entries.map(({ what }) => what)).toEqual([
      'connected',
      'refused',
      'emailed',
      'warned',
      'notified',
      'disconnected',
      'rate_limited',
    ]);
    const [, refused, emailed, warning, notified, disconnected, limited] = entries.map(
      ({ detail }) => detail,
    );
    expect(refused).toContain('1 permanent in a row, the latest: invalid_grant');
    expect(refused).toContain('Handled at 2026-05-01T10:02');
    expect(emailed).toContain('ses-message-1');
    expect(warning).toContain('No email');
    expect(notified).toContain('the user has read it');
    expect(disconnected).toContain('no address');
    expect(disconnected).toContain('Waiting to be handled');
    expect(disconnected).toContain('Published again 2 times');
    expect(limited).toContain('5 transient in a row, the latest: http_503');
    expect(limited).toContain('Published again once');
  });

  it('tells of an answer that was lost, as long as the row holds the token that it may have cost', async () => {
    const { id } = await db.insertIntegration({ created_at: at(0) });
    const doubt = `doubtful_grant = sha256(convert_to(refresh_token, 'UTF8')), doubtful_since = $2`;
    await db.sql(`UPDATE integrations SET ${doubt} WHERE id = $1`, [id, at(7)]);
    const report = await ask(id);
    expect(report.integration?.doubtfulSince).toBe(at(7).toISOString());
    expect(report.entries.at(-1)).toEqual({
      at: at(7).toISOString(),
      what: 'answer_lost',
      detail: expect.stringContaining('may have spent the refresh token'),
    });

    await db.sql(`UPDATE integrations SET provider = 'google' WHERE id = $1`, [id]);
    expect((await ask(id)).integration?.doubtfulSince).toBeNull();

    await db.sql(`UPDATE integrations SET provider = 'acme', refresh_token = 'newer' WHERE id = $1`, [id]);
    const after = await ask(id);
    expect(after.integration?.doubtfulSince).toBeNull();
    expect(after.entries.map(({ what }) => what)).toEqual(['connected']);
  });

  it('tells the events apart that came after a lost answer', async () => {
    const { id, user_id } = await db.insertIntegration({ created_at: at(0) });
    for (const after_doubt of [false, true]) {
      await db.insertEvent({
        integration_id: id,
        user_id: user_id!,
        created_at: at(after_doubt ? 2 : 1),
        after_doubt,
      });
    }
    const [, before, after] = (await ask(id)).entries.map(({ detail }) => detail);
    expect(before).not.toContain('lost');
    expect(after).toContain('It came after a call whose answer was lost');
  });

  it('says of a grant that ends by itself when it does', async () => {
    const { id, user_id } = await db.insertIntegration({ created_at: at(0) });
    const event = (overrides: Parameters<TestDatabase['insertEvent']>[0]) =>
      db.insertEvent({ integration_id: id, user_id: user_id!, lapses_at: at(30), ...overrides });
    await event({ created_at: at(1), failure_code: 'refresh_token_ends' });
    await event({ created_at: at(2), failure_code: 'access_token_ends' });
    await event({
      created_at: at(3),
      failure_code: 'access_token_ended',
      notification_type: 'integration_disconnected',
      email_kind: 'disconnected',
    });
    const { entries } = await ask(id);
    expect(entries.map(({ what }) => what)).toEqual(['connected', 'warned', 'warned', 'disconnected']);
    expect(entries.slice(1).map(({ detail }) => detail.split('. ')[0])).toEqual([
      'The refresh token ends by itself at 2026-05-01T10:30:00.000Z, and only the user can renew it (refresh_token_ends)',
      'The access token ends by itself at 2026-05-01T10:30:00.000Z, and only the user can renew it (access_token_ends)',
      'The access token ended by itself at 2026-05-01T10:30:00.000Z, and only the user can renew it (access_token_ended)',
    ]);
  });

  it.each([
    ['no_sender', /no sender/],
    ['MessageRejected', /refused by SES \(MessageRejected\)/],
    [null, /not sent yet/],
  ])('says in words what became of an email: %j', async (email_outcome, words) => {
    const { integration_id } = await db.insertEvent({ email_kind: 'reconnect', email_outcome });
    expect((await ask(integration_id)).entries[0]!.detail).toMatch(words);
  });

  it('says that an email is on its way, or was for nobody', async () => {
    const held = await db.insertEvent({
      email_kind: 'reconnect',
      email_held_until: new Date(Date.now() + 9e5),
    });
    expect((await ask(held.integration_id)).entries[0]!.detail).toContain('is sending it');
    const gone = await db.insertEvent({ email_kind: 'reconnect', handled_at: at(1) });
    expect((await ask(gone.integration_id)).entries[0]!.detail).toContain('removed the user');
  });

  it('goes on when the integration is gone', async () => {
    const { integration_id } = await db.insertEvent();
    expect(await ask(integration_id)).toMatchObject({ integration: null, entries: [{ what: 'warned' }] });
    expect(await ask(randomUUID())).toMatchObject({ integration: null, entries: [] });
  });

  it('takes rows as products have them', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN user_id DROP NOT NULL');
    const { id } = await db.insertIntegration({ user_id: null });
    await db.sql(
      `UPDATE integrations SET expires_at = 'infinity', consecutive_failures = NULL, access_token = '', refresh_token = NULL`,
    );
    expect((await ask(id)).integration).toMatchObject({
      expiresAt: null,
      consecutiveFailures: 0,
      accessToken: 'absent',
      refreshToken: 'absent',
      keyId: null,
    });
  });

  it('takes counters that no integer here holds', async () => {
    await db.sql('ALTER TABLE integrations ALTER COLUMN consecutive_failures TYPE bigint');
    const { id } = await db.insertIntegration();
    const counted = async (count: string) => {
      await db.sql('UPDATE integrations SET consecutive_failures = $1', [count]);
      const { failing } = await status(db.database, { refreshWindowSeconds: 600, attemptHoldSeconds: 45 });
      return [
        (await ask(id)).integration?.consecutiveFailures,
        failing.map((each) => each.consecutiveFailures),
      ];
    };
    expect(await counted('9007199254740993')).toEqual([2_147_483_647, [2_147_483_647]]);
    expect(await counted('-9007199254740993')).toEqual([0, []]);
  });
});

describe('the tokens', () => {
  it('are sealed, plain or absent, and never told', async () => {
    const { id } = await db.insertIntegration({ access_token: 'canary-access' });
    const sealed = await sealer.seal('canary-refresh', { integrationId: id, column: 'refresh_token' });
    await db.sql('UPDATE integrations SET refresh_token = $2 WHERE id = $1', [id, sealed]);
    const report = await ask(id);
    expect(report.integration).toMatchObject({
      accessToken: 'plain',
      refreshToken: 'sealed',
      keyId: sealer.currentKeyId,
    });
    const text = JSON.stringify(report);
    expect(text).not.toContain('canary');
    expect(text).not.toContain(sealed.slice(0, 20));
  });

  it('are counted by the key that they are sealed with, in rows of any status', async () => {
    const other = await TokenSealer.fromSecret(JSON.stringify({ current: randomBytes(32).toString('hex') }));
    for (const [status, by] of [
      ['connected', sealer],
      ['connected', sealer],
      ['disconnected', other],
      ['paused', sealer],
    ] as const) {
      const { id } = await db.insertIntegration({ status, access_token: null });
      await db.sql('UPDATE integrations SET refresh_token = $2, access_token = $3 WHERE id = $1', [
        id,
        await by.seal('r', { integrationId: id, column: 'refresh_token' }),
        status === 'paused' ? '' : await by.seal('a', { integrationId: id, column: 'access_token' }),
      ]);
    }
    const jwt = `${Buffer.from('{"alg":"none","kid":"x"}').toString('base64url')}.e30.`;
    // One of ours by another hand: its fields in another order.
    const foreign = Buffer.from(`{"kid":"k1","sub":"x","enc":"A256GCM","alg":"dir","typ":"evergrant+jwe"}`);
    await db.insertIntegration({ access_token: 'plain', refresh_token: 'eyJhbGciOiJ' });
    await db.insertIntegration({
      access_token: jwt,
      refresh_token: `${foreign.toString('base64url')}..a.b.c`,
    });
    await db.insertIntegration({ access_token: null, refresh_token: '' });
    expect(await keys(db.database)).toEqual({
      keys: [
        { keyId: sealer.currentKeyId, tokens: 5 },
        { keyId: other.currentKeyId, tokens: 2 },
        { keyId: 'k1', tokens: 1 },
      ],
      plain: 3,
    });
  });

  it('are grouped by the database, so that a large table makes few rows', async () => {
    for (const column of ['access_token', 'refresh_token'] as const) {
      for (let i = 0; i < 5; i += 1) {
        const { id } = await db.insertIntegration({ access_token: null, refresh_token: null });
        const sealed = await sealer.seal('token', { integrationId: id, column });
        await db.sql(`UPDATE integrations SET ${column} = $2 WHERE id = $1`, [id, sealed]);
      }
    }
    expect(await countTokenHeads(db.database, sealedHead)).toMatchObject([{ tokens: 10 }]);
  });
});
