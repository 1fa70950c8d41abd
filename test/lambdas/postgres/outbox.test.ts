import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimEmail } from '../../../lambdas/postgres/claim-email.ts';
import { findRecipient } from '../../../lambdas/postgres/find-recipient.ts';
import { finishEvent } from '../../../lambdas/postgres/finish-event.ts';
import { loadEvent } from '../../../lambdas/postgres/load-event.ts';
import { measureWaitingEvents } from '../../../lambdas/postgres/measure-waiting-events.ts';
import { putBackEvents } from '../../../lambdas/postgres/put-back-events.ts';
import { recordEmail } from '../../../lambdas/postgres/record-email.ts';
import { relayEvents } from '../../../lambdas/postgres/relay-events.ts';
import { releaseEmail } from '../../../lambdas/postgres/release-email.ts';
import { type NotificationRow, writeNotification } from '../../../lambdas/postgres/write-notification.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
beforeEach(() => db.clear());
afterAll(() => db.end());

const relay = async (limit = 500, holdSeconds = 360) =>
  (await relayEvents(db.database, { holdSeconds, limit })).map(({ id }) => id);

describe('relaying events', () => {
  it('takes what nobody has handled in time, oldest first, and puts it off', async () => {
    const second = await db.insertEvent({ relay_after: new Date(2_000) });
    const first = await db.insertEvent({ relay_after: new Date(1_000) });
    await db.insertEvent({ relay_after: new Date(Date.now() + 60_000) });
    await db.insertEvent({ handled_at: new Date() });
    expect(await relay(1)).toEqual([first.id]);
    expect(await relay()).toEqual([second.id]);
    expect(await relay()).toEqual([]);
  });

  it('tells whose they are', async () => {
    const { id } = await db.insertEvent({ provider: 'hubspot' });
    expect(await relayEvents(db.database, { holdSeconds: 1, limit: 1 })).toEqual([
      { id, provider: 'hubspot' },
    ]);
  });

  it('waits twice as long each time, a day at most, and never gives up', async () => {
    const { id } = await db.insertEvent();
    const waits: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      expect(await relay()).toEqual([id]);
      const [row] = await db.sql<{ seconds: number }>(
        'SELECT round(extract(epoch FROM relay_after - now()))::int AS seconds FROM evergrant.threshold_events',
      );
      waits.push(row!.seconds);
      await db.sql('UPDATE evergrant.threshold_events SET relay_after = now()');
    }
    expect(waits.slice(0, 4)).toEqual([360, 720, 1440, 2880]);
    expect(Math.max(...waits)).toBe(86_400);
    expect(waits.at(-1)).toBe(86_400);
    expect((await db.event(id)).relay_count).toBe(40);
  });

  it('begins anew for what the queue did not take: the next scan has it, however long the queue was away', async () => {
    const { id } = await db.insertEvent();
    for (let scans = 0; scans < 20; scans += 1) {
      expect(await relay()).toEqual([id]);
      await putBackEvents(db.database, [id]);
    }
    expect((await db.event(id)).relay_count).toBe(0);
    // What somebody handled meanwhile, or took again, stays as it is.
    await putBackEvents(db.database, [id, randomUUID()]);
    expect((await db.event(id)).relay_count).toBe(0);
    await relay();
    await finishEvent(db.database, id);
    const handled = await db.event(id);
    await putBackEvents(db.database, [id]);
    expect(await db.event(id)).toEqual(handled);
  });

  it('hands each event to one of several scans', async () => {
    for (let i = 0; i < 60; i += 1) await db.insertEvent();
    const scans = Array.from({ length: 6 }, () => db.connection());
    const taken = await Promise.all(scans.map((scan) => relayEvents(scan, { holdSeconds: 360, limit: 500 })));
    expect(taken.flat()).toHaveLength(60);
    expect(new Set(taken.flat().map(({ id }) => id)).size).toBe(60);
  });
});

describe('the age of what nobody has told', () => {
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000);
  const oldest = async () => (await measureWaitingEvents(db.database)).oldestSeconds;

  it('is that of the oldest event which is not handled', async () => {
    expect(await oldest()).toBe(0);
    await db.insertEvent({ created_at: ago(900), handled_at: new Date() });
    expect(await oldest()).toBe(0);
    await db.insertEvent({ created_at: ago(300) });
    await db.insertEvent({ created_at: ago(600) });
    expect(await oldest()).toBeGreaterThan(599);
    expect(await oldest()).toBeLessThan(700);
  });

  it('leaves out whose email was tried and not sent, until it is', async () => {
    const { id } = await db.insertEvent({ created_at: ago(600), email_kind: 'reconnect' });
    expect(await oldest()).toBeGreaterThan(599);
    const until = await claimEmail(db.database, id, 25);
    expect(await oldest()).toBe(0);
    await releaseEmail(db.database, id, until!);
    expect(await oldest()).toBe(0);
    await claimEmail(db.database, id, 25);
    await recordEmail(db.database, id, { sent: true, outcome: 'message-1' });
    expect(await oldest()).toBeGreaterThan(599);
    await finishEvent(db.database, id);
    expect(await oldest()).toBe(0);
  });
});

describe('the right to send an email', () => {
  it('belongs to one notifier at a time', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    const notifiers = Array.from({ length: 6 }, () => db.connection());
    const got = await Promise.all(notifiers.map((notifier) => claimEmail(notifier, id, 35)));
    expect(got.filter(Boolean)).toHaveLength(1);
  });

  it('passes on when its holder has died', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    await claimEmail(db.database, id, 35);
    await db.sql(`UPDATE evergrant.threshold_events SET email_held_until = now() - interval '1 s'`);
    expect(await claimEmail(db.database, id, 35)).not.toBeNull();
  });

  it('comes back at once when SES refused the email', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    const until = await claimEmail(db.database, id, 35);
    await releaseEmail(db.database, id, until!);
    expect(await claimEmail(db.database, id, 35)).not.toBeNull();
  });

  it('is not taken from its holder by one who held it before', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    const before = await claimEmail(db.database, id, 35);
    await db.sql(`UPDATE evergrant.threshold_events SET email_held_until = now() - interval '1 s'`);
    expect(await claimEmail(db.database, id, 35)).not.toBeNull();
    await releaseEmail(db.database, id, before!);
    expect(await claimEmail(db.database, id, 35)).toBeNull();
  });

  it('is gone for good once the email was sent', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    const until = await claimEmail(db.database, id, 35);
    await recordEmail(db.database, id, { sent: true, outcome: 'message-1' });
    await releaseEmail(db.database, id, until!);
    await db.sql('UPDATE evergrant.threshold_events SET email_held_until = NULL');
    expect(await claimEmail(db.database, id, 35)).toBeNull();
  });

  it('does not exist for an event that is not there', async () => {
    expect(await claimEmail(db.database, randomUUID(), 35)).toBeNull();
  });
});

describe('writing down what became of an email', () => {
  it.each([
    ['a sent one', { sent: true, outcome: 'message-1' }],
    ['one that was not sent', { sent: false, outcome: 'no_address' }],
  ])('%s', async (_, email) => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    await recordEmail(db.database, id, email);
    const event = await db.event(id);
    expect(event.email_outcome).toBe(email.outcome);
    expect(event.email_sent_at !== null).toBe(email.sent);
    expect(event.handled_at).toBeNull();
    expect(await claimEmail(db.database, id, 35)).toBeNull();
  });

  it('happens once: what was said first stays', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    await recordEmail(db.database, id, { sent: true, outcome: 'message-1' });
    const before = await db.event(id);
    await recordEmail(db.database, id, { sent: false, outcome: 'no_address' });
    expect(await db.event(id)).toEqual(before);
  });
});

describe('finishing an event', () => {
  it('takes it from the relay, once and for all', async () => {
    const { id } = await db.insertEvent({ email_kind: 'reconnect' });
    await finishEvent(db.database, id);
    const before = await db.event(id);
    expect(before.handled_at).not.toBeNull();
    expect(await relay()).toEqual([]);
    await finishEvent(db.database, id);
    expect(await db.event(id)).toEqual(before);
  });
});

describe('finding whom to tell', () => {
  it('asks the operator’s view', async () => {
    const event = await db.insertEvent();
    expect(await loadEvent(db.database, event.id)).toMatchObject({
      id: event.id,
      user_id: event.user_id,
      provider_name: 'Acme',
    });
    expect(await findRecipient(db.database, event.user_id)).toBeNull();
    await db.sql('CREATE TABLE people (id uuid, mail varchar, full_name varchar)');
    await db.sql('INSERT INTO people VALUES ($1, $2, $3)', [event.user_id, 'ada@example.com', 'Ada']);
    await db.sql(
      'CREATE OR REPLACE VIEW evergrant.users AS SELECT id, mail::text AS email, full_name::text AS name FROM people',
    );
    expect(await findRecipient(db.database, event.user_id)).toEqual({
      email: 'ada@example.com',
      name: 'Ada',
    });
  });

  it('finds nothing under an unknown id', async () => {
    expect(await loadEvent(db.database, randomUUID())).toBeNull();
  });
});

describe('a loaded disconnection', () => {
  const day = 86_400_000;
  const at = new Date('2026-03-10T00:00:00Z');
  const ago = (ms: number) => new Date(at.getTime() - ms);
  const integration_id = randomUUID();
  const disconnection = () =>
    db.insertEvent({
      integration_id,
      notification_type: 'integration_disconnected',
      created_at: at,
      connected_since: ago(9.5 * day),
      warned_at: ago(600_000),
    });
  const warning = (changes: Parameters<TestDatabase['insertEvent']>[0]) =>
    db.insertEvent({
      integration_id,
      created_at: ago(600_000),
      handled_at: ago(590_000),
      ...changes,
    });

  it('says for how long the integration was connected', async () => {
    expect(await loadEvent(db.database, (await disconnection()).id)).toMatchObject({ connected_days: 9.5 });
    const { id } = await db.insertEvent();
    expect(await loadEvent(db.database, id)).toMatchObject({ connected_days: null, warned: false });
    // A product's created_at; before 17, PostgreSQL does not subtract it.
    await db.sql(`UPDATE evergrant.threshold_events SET connected_since = '-infinity' WHERE id = $1`, [id]);
    expect(await loadEvent(db.database, id)).toMatchObject({ connected_days: null });
  });

  it.each<[boolean, string, Parameters<TestDatabase['insertEvent']>[0]]>([
    [true, 'told before', {}],
    [false, 'not told yet', { handled_at: null }],
    [false, 'told too late', { handled_at: new Date(at.getTime() + 1) }],
    [false, 'of an earlier episode', { created_at: ago(600_001) }],
    [false, 'of another integration', { integration_id: randomUUID() }],
    [false, 'of another kind', { notification_type: 'integration_rate_limit' }],
  ])('%s: its warning was %s', async (warned, _, changes) => {
    const { id } = await disconnection();
    await warning(changes);
    expect(await loadEvent(db.database, id)).toMatchObject({ warned });
  });

  it('was not warned of where no warning was decided', async () => {
    await warning({});
    const { id } = await db.insertEvent({ integration_id, notification_type: 'integration_disconnected' });
    expect(await loadEvent(db.database, id)).toMatchObject({ warned: false });
  });
});

describe('writing a notification', () => {
  const row = (changes: Partial<NotificationRow> = {}): NotificationRow => ({
    eventId: randomUUID(),
    userId: randomUUID(),
    type: 'integration_warning',
    title: 'A title with "quotes"',
    message: 'é 💥',
    actionUrl: 'https://example.com',
    actionLabel: 'Reconnect',
    metadata: { integration_id: 'x', nested: { a: [1] } },
    ...changes,
  });

  it('happens once per event, however often and at once', async () => {
    const notification = row();
    const notifiers = Array.from({ length: 6 }, () => db.connection());
    const written = await Promise.all(notifiers.map((notifier) => writeNotification(notifier, notification)));
    expect(written.filter(Boolean)).toHaveLength(1);
    expect(await db.sql('SELECT * FROM notifications')).toMatchObject([
      {
        user_id: notification.userId,
        event_id: notification.eventId,
        type: 'integration_warning',
        title: 'A title with "quotes"',
        message: 'é 💥',
        action_url: 'https://example.com',
        action_label: 'Reconnect',
        metadata: notification.metadata,
        is_read: false,
      },
    ]);
  });

  it('leaves a notification as it is that the user has read', async () => {
    const notification = row();
    await writeNotification(db.database, notification);
    await db.sql('UPDATE notifications SET is_read = true');
    expect(await writeNotification(db.database, { ...notification, title: 'other' })).toBe(false);
    expect(await db.sql('SELECT title, is_read FROM notifications')).toEqual([
      { title: notification.title, is_read: true },
    ]);
  });

  it('knows the three types of Evergrant and refuses one that nobody knows', async () => {
    for (const type of ['integration_warning', 'integration_disconnected', 'integration_rate_limit']) {
      expect(await writeNotification(db.database, row({ type }))).toBe(true);
    }
    await expect(writeNotification(db.database, row({ type: 'other' }))).rejects.toMatchObject({
      code: '23514',
    });
  });

  it('leaves the product’s own notifications, which have no event, unlimited', async () => {
    for (let i = 0; i < 3; i += 1) {
      await db.sql(
        `INSERT INTO notifications (user_id, type, title) VALUES (gen_random_uuid(), 'system', 'x')`,
      );
    }
    expect(await db.sql('SELECT event_id FROM notifications')).toHaveLength(3);
  });
});
