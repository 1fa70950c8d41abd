import { setTimeout as sleep } from 'node:timers/promises';
import type { StatusReport, VerifyReport } from '../../lambdas/operator/reports.ts';
import type { PermissionUsage } from '../cloud/iam/authorizer.ts';
import { eventually } from './client.ts';
import type { Recorder } from './recorder.ts';
import type { Person, World } from './world.ts';

/** An event whose notifier was killed between the notification row and the email. */
export interface KilledEvent {
  readonly eventId: string;
  readonly person: Person;
  readonly notes: readonly string[];
}

/**
 * Kills the notifier between row and mail: SES hangs, the row appears, the process dies, SES is mended. The
 * person stood at two failures, so that one refusal crosses the threshold. Runs before anybody else needs SES.
 */
export async function killNotifierBetweenRowAndMail(world: World, person: Person): Promise<KilledEvent> {
  const { client } = world;
  await world.fault(person, { answer: { status: 403, body: { error: 'access_denied' } } });
  await client.breakEmail({ hang: true });
  await world.age(person);
  const [event] = await eventually('the email to be under way', async () => {
    const rows = await client.sql<{ id: string }>(
      `SELECT e.id FROM evergrant.threshold_events e JOIN notifications n ON n.event_id = e.id
       WHERE e.integration_id = $1 AND e.email_held_until IS NOT NULL`,
      [person.integrationId],
    );
    return rows.length > 0 ? rows : null;
  });
  // The statement that holds the email comes before the call to SES, which hangs: no more can happen.
  await sleep(300);
  await client.killFunction(client.addresses.functionNames.notifier);
  await client.breakEmail(null);
  const emails = await client.emailsTo(person.email);
  return {
    eventId: event?.id ?? '',
    person,
    notes: [
      `SES hung, the notification row was there, the notifier was killed; emails so far: ${emails.length}`,
    ],
  };
}

export async function eventsOnce(world: World, recorder: Recorder, killed: KilledEvent): Promise<void> {
  const { client } = world;
  await recorder.check('events-once', async ({ note, require }) => {
    for (const text of killed.notes) note(text);
    await eventually('the hold on the email to lapse', async () => {
      const [row] = await client.sql<{ lapsed: boolean }>(
        'SELECT email_held_until <= now() AS lapsed FROM evergrant.threshold_events WHERE id = $1',
        [killed.eventId],
      );
      return row?.lapsed ? true : null;
    });
    // As if nobody had handled it for long: the scanner publishes it again.
    await client.sql('UPDATE evergrant.threshold_events SET relay_after = now() WHERE id = $1', [
      killed.eventId,
    ]);
    await eventually('the relay of the event', async () => {
      const [row] = await client.sql<{ relayed: boolean }>(
        'SELECT relay_count > 0 AS relayed FROM evergrant.threshold_events WHERE id = $1',
        [killed.eventId],
      );
      return row?.relayed ? true : null;
    });
    const body = JSON.stringify({ version: 1, eventId: killed.eventId });
    await client.send(client.addresses.queueUrls.threshold, body);
    await eventually('the email', async () =>
      (await client.emailsTo(killed.person.email)).length > 0 ? true : null,
    );
    // Delivered again when it has long been handled.
    await client.send(client.addresses.queueUrls.threshold, body);
    await sleep(2_000);
    const rows = await client.sql('SELECT FROM notifications WHERE event_id = $1', [killed.eventId]);
    const emails = await client.emailsTo(killed.person.email);
    note(
      `the event was delivered four times in all, once by the scanner's relay: ${rows.length} notification row, ${emails.length} email ("${emails[0]?.subject}")`,
    );
    require(rows.length === 1, 'it is not one row');
    require(emails.length === 1, 'the email in doubt had not been sent, so one was due, and no more');
    const [event] = await client.sql<{ handled: boolean }>(
      'SELECT handled_at IS NOT NULL AND email_sent_at IS NOT NULL AS handled FROM evergrant.threshold_events WHERE id = $1',
      [killed.eventId],
    );
    require(event?.handled === true, 'the event is not closed');
  });
}

export async function nothingLeaks(world: World, recorder: Recorder): Promise<void> {
  const { client, canaries } = world;
  await recorder.check('nothing-leaks', async ({ note, require }) => {
    await world.collectTokens();
    const { current } = JSON.parse(await client.secretValue(client.addresses.tokenKeySecret)) as {
      current: string;
    };
    canaries.add(current);
    const log = await client.logLines();
    const metrics = log.filter((line) => line.includes('"_aws"'));
    const places: Record<string, string[]> = {
      'log and metric lines': log,
      'messages and dead letters': (
        await Promise.all(Object.values(client.addresses.queueUrls).map((url) => client.peek(url)))
      ).flat(),
      notifications: await rowsOf(world, 'notifications'),
      'threshold events': await rowsOf(world, 'evergrant.threshold_events'),
      emails: (await client.emails()).map((email) => JSON.stringify(email)),
    };
    require(canaries.size > 50, `only ${canaries.size} canaries were collected`);
    require(metrics.length > 0 && log.length > metrics.length, 'the log is not what it should be');
    for (const [place, texts] of Object.entries(places)) {
      require(texts.length > 0, `there are no ${place} to look through`);
      const leaks = [...canaries].filter((canary) => texts.some((text) => text.includes(canary)));
      require(leaks.length === 0, `${leaks.length} secrets appear in ${place}`);
      note(`${texts.length} ${place}: none of ${canaries.size} tokens and secrets`);
    }
  });
}

async function rowsOf(
  { client }: World,
  table: 'notifications' | 'evergrant.threshold_events',
): Promise<string[]> {
  const rows = await client.sql<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM ${table} t`);
  return rows.map(({ row }) => row);
}

interface Kept {
  readonly id: string;
  readonly type: string;
  readonly event_id: string | null;
  readonly metadata: unknown;
}

/** What the operator is answered at the end of a day like this one: nothing in the deployment is wrong. */
export async function operatorAnswered(world: World, recorder: Recorder): Promise<void> {
  const { client } = world;
  const { operator } = client.addresses.functionNames;
  await recorder.check('operator-answered', async ({ note, require }) => {
    const { checks } = await client.invoke<VerifyReport>(operator, { ask: 'verify' });
    const failed = checks.filter(({ state }) => state === 'failed' || state === 'not_checked');
    require(failed.length === 0, failed.map(({ code, found }) => `${code}: ${found}`).join('; '));
    note(`${checks.length} checks of the deployment, none failed`);
    const { providers, lastScan } = await client.invoke<StatusReport>(operator, { ask: 'status' });
    require(lastScan !== null, 'no scan is recorded');
    for (const { provider, connected, needsReauthorization } of providers) {
      note(`${provider}: ${connected} connected, ${needsReauthorization} to be reconnected`);
    }
  });
}

export async function rollsBack(world: World, recorder: Recorder): Promise<void> {
  const { client } = world;
  const { migrator } = client.addresses.functionNames;
  await recorder.check('rolls-back', async ({ note, require }) => {
    const all = 'SELECT id, type, event_id, metadata FROM notifications ORDER BY id';
    const before = await client.sql<Kept>(all);
    const newTypes = before.filter(
      ({ type }) => type === 'integration_warning' || type === 'integration_rate_limit',
    );
    require(newTypes.length > 0, 'there are no rows of the new types');
    const [integrations] = await client.sql<{ count: string }>('SELECT count(*) FROM integrations');

    const down = await client.invoke<{ ran: string[] }>(migrator, { direction: 'down', count: 100 });
    note(`down: ${down.ran.join(', ')}`);
    const during = await client.sql<{ id: string; type: string }>(
      'SELECT id, type FROM notifications ORDER BY id',
    );
    require(during.map(({ id }) => id).join() ===
      before.map(({ id }) => id).join(), 'notifications were lost');
    const refused = await client
      .sql(
        `INSERT INTO notifications (user_id, type, title) VALUES (gen_random_uuid(), 'integration_warning', 'x')`,
      )
      .then(
        () => false,
        (error: { code?: string }) => error.code === '23514',
      );
    require(refused, 'the old constraint is not back');
    const columns = await client.sql(
      `SELECT FROM information_schema.columns WHERE table_name = 'integrations' AND column_name = 'consecutive_transient_failures'`,
    );
    require(columns.length === 0, 'the added column is still there');
    const [kept] = await client.sql<{ count: string }>('SELECT count(*) FROM integrations');
    require(kept?.count === integrations?.count, 'integrations were lost');
    note(
      `all ${before.length} notifications (${newTypes.length} of the new types, kept as 'system') and ${kept?.count} integrations are there; the old constraint holds`,
    );

    const up = await client.invoke<{ ran: string[] }>(migrator, { direction: 'up' });
    note(`up: ${up.ran.join(', ')}`);
    const after = await client.sql<Kept>(all);
    require(JSON.stringify(after) === JSON.stringify(before), 'the notifications are not what they were');
    note('every notification is what it was, type, event and metadata');
  });
}

/** Comes last: what has been called is called by then. */
export async function leastPrivilege(usage: PermissionUsage, recorder: Recorder): Promise<void> {
  await recorder.check('least-privilege', async ({ note, require }) => {
    const { allowed, denied } = usage;
    const needed = allowed.filter(({ callCount }) => callCount > 0);
    const surplus = allowed.filter(({ callCount }) => callCount === 0).map(permission);
    for (const { message, callCount } of denied) note(`denied ${callCount} times: ${message}`);
    const others = recorder.results().filter(({ name }) => name !== 'least-privilege');
    // What comes of a check that failed has not been called, and so says nothing about its permission.
    const surplusOrNot = others.every(({ ok }) => ok) ? 'surplus' : 'not reached, or surplus';
    const problems = [
      ...denied.map((each) => `missing: ${permission(each)}`),
      ...surplus.map((each) => `${surplusOrNot}: ${each}`),
    ];
    require(problems.length === 0, problems.join('; '));
    for (const holder of new Set(needed.map((each) => each.holder))) {
      const own = needed.filter((each) => each.holder === holder);
      const calls = own.reduce((sum, { callCount }) => sum + callCount, 0);
      note(`${holder}: ${own.length} permissions, all needed by its ${calls} calls`);
    }
  });
}

function permission(each: { holder?: string; callerId?: string; action: string; resource: string }): string {
  return `${each.holder ?? each.callerId} ${each.action} ${each.resource}`;
}
