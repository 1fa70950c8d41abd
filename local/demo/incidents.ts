import { circuitLimits, massRefusalLimits, probesPerScan } from '../../lambdas/domain/provider-guards.ts';
import { parseSettings } from '../../lib/settings.ts';
import { refreshBatchSize } from '../../lib/timing.ts';
import { startSystem } from '../system.ts';
import { addressesOf, Client } from './client.ts';
import { CrowdedProvider, Day, type Stand } from './day.ts';
import type { Evidence, Recorder } from './recorder.ts';

/**
 * Plays the incidents that take hours, in a system of their own with the default settings: their time jumps from scan
 * to scan, which the other stories must not feel.
 */
export async function playIncidents(
  directory: string,
  recorder: Recorder,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (step: string) => void },
): Promise<void> {
  const resources = new AsyncDisposableStack();
  try {
    const drive = new CrowdedProvider('hooli-drive', 'Hooli Drive');
    const crm = new CrowdedProvider('vandelay-crm', 'Vandelay CRM');
    // As Spotify has it: whatever is refreshed, a grant ends half a year after its authorization.
    const music = new CrowdedProvider('umbrella-music', 'Umbrella Music', {
      refreshTokenLifetime: { seconds: 180 * aDay, from: 'authorization' },
    });
    for (const provider of [drive, crm, music]) {
      await provider.start();
      resources.defer(() => provider.server.stop());
    }
    const clock = { nowMs: 0 };
    const system = await startSystem({
      directory,
      persistent: false,
      providers: [],
      clients: Object.fromEntries([drive, crm, music].map((each) => [each.name, each.secret()])),
      scanIntervalMs: null,
      alarmClock: () => clock.nowMs,
      onProgress,
    });
    resources.defer(() => system.stop());
    const client = new Client(addressesOf(system));
    resources.defer(() => client.end());
    const time = new Day(system, client, clock, signal);
    resources.defer(() => time.end());
    const incident = { client, day: time };
    for (const [play, provider] of [
      [outageIsOneAlarm, drive],
      [massRefusalHeld, crm],
      [withoutRefreshTokenTold, music],
      [lapseWarned, music],
    ] as const) {
      // One that fails says nothing about the others, and leaves nothing to them.
      await play(incident, recorder, provider).catch(() => signal.throwIfAborted());
      await provider.leave(client);
    }
  } finally {
    await resources.disposeAsync();
  }
}

/** What the incidents happen in: a system in which nothing happens but by the day's clock. */
interface Incident {
  readonly client: Client;
  readonly day: Day;
}

const scansInAnHour = 12;
const aDay = 86_400;
const { maxConcurrency: refreshersAtOnce } = parseSettings({ database: 'existing' });
/** With a batch of messages each: what can be under way when nobody knows of the outage yet. */
const mostInFlight = refreshBatchSize * refreshersAtOnce;
const crowd = 2 * mostInFlight;

async function outageIsOneAlarm(
  { client, day }: Incident,
  recorder: Recorder,
  provider: CrowdedProvider,
): Promise<void> {
  await recorder.check('outage-is-one-alarm', async ({ note, require }) => {
    const { server } = provider;
    await provider.connect(client, crowd);
    await day.nextScan();
    const healthy = await provider.stand(client);
    require(healthy.fresh === crowd, `only ${healthy.fresh} of ${crowd} were refreshed by one scan`);
    note(
      `${crowd} integrations at ${provider.displayName}, refreshed by one scan in ${server.calls.length} calls`,
    );
    // Then all of them fall due at once, which is the worst moment for an outage.
    for (let scan = 0; scan < 9; scan += 1) await day.nextScan();
    const alarmsBefore = day.alarms().length;

    const callsByScan: number[] = [];
    for (let scan = 0; scan < scansInAnHour; scan += 1) {
      server.condition = scan % 2 === 0 ? 'unavailable' : 'resetting';
      const before = server.calls.length;
      await day.nextScan();
      callsByScan.push(server.calls.length - before);
    }
    const [first = 0, ...later] = callsByScan;
    const during = await provider.stand(client);
    note(
      `down for an hour (503 and broken connections in turn): calls by scan ${callsByScan.join(', ')}; bound: ${mostInFlight} under way when it begins, then ${probesPerScan} probes a scan`,
    );
    require(first > 0 && first <= mostInFlight, `${first} calls were under way at the begin`);
    require(later.every((count) => count <= probesPerScan), 'a scan made more calls than its probes');
    require(later.some((count) => count > 0), 'nobody probed');
    note(
      `meanwhile: ${during.connected} connected, ${during.disconnected} disconnected, ${during.notifications} notifications, ${await provider.emails(client)} emails; ${during.transientlyFailing} failed once before it was an outage, and no counter has moved since`,
    );
    require(during.disconnected === 0, 'somebody was disconnected');
    require(during.failing === 0, 'a counter of permanent failures moved');
    // What each refresher writes before all of them together are an outage.
    require(during.transientlyFailing < circuitLimits.leastFailing * refreshersAtOnce &&
      during.mostTransientFailures <= 1, `counters of waiting integrations moved: ${JSON.stringify(during)}`);
    require(during.notifications === 0 && (await provider.emails(client)) === 0, 'somebody was told');

    server.condition = 'healthy';
    const before = server.calls.length;
    await day.nextScan();
    const one = await provider.stand(client);
    await day.nextScan();
    const two = await provider.stand(client);
    note(
      `back: ${one.fresh} fresh after one scan, ${two.fresh} after two, in ${server.calls.length - before} calls; counters above 0: ${two.transientlyFailing}`,
    );
    require(two.fresh === crowd && two.transientlyFailing === 0, 'not all are fresh after two scans');
    // As long as an alarm may look back.
    for (let scan = 0; scan < 6; scan += 1) await day.nextScan();
    tellAlarms(day, alarmsBefore, 'provider outage', { note, require });
    require(day.alarms().at(-1)?.to === 'OK', 'the alarm is not over');
    tellOverlaps(provider, { note, require });
  });
}

const refused = 200;

async function massRefusalHeld(
  { client, day }: Incident,
  recorder: Recorder,
  provider: CrowdedProvider,
): Promise<void> {
  await recorder.check('mass-refusal-held', async ({ note, require }) => {
    const { server, name, displayName } = provider;
    const alarmsBefore = day.alarms().length;
    const told = async ({ notifications }: Stand) =>
      `${notifications} notifications, ${await provider.emails(client)} emails`;
    const scanUntil = async (wanted: (stand: Stand) => boolean, most: number, what: string) => {
      for (let scans = 1; ; scans += 1) {
        await day.nextScan();
        const stand = await provider.stand(client);
        if (wanted(stand)) return { scans, stand };
        require(scans < most, `after ${most} scans not ${what}: ${JSON.stringify(stand)}`);
      }
    };
    const allFailedThrice = ({ fewestFailures }: Stand) => fewestFailures >= 3;

    const tokens = await provider.connect(client, refused);
    server.condition = 'refusing';
    const incident = await scanUntil(allFailedThrice, 8, 'everybody has failed three times');
    note(
      `all ${refused} integrations at ${displayName} refused (invalid_grant), three times and more, in ${incident.scans} scans: ${incident.stand.disconnected} disconnected, ${await told(incident.stand)}`,
    );
    require(incident.stand.disconnected === 0, 'somebody was disconnected');
    // What each refresher writes before all of them together are implausibly many.
    const mostEmails = massRefusalLimits.leastFailing * refreshersAtOnce;
    require((await provider.emails(client)) < mostEmails, 'the emails were not held');
    require(incident.stand.notifications <= refused, 'somebody was warned twice');
    server.condition = 'healthy';
    const healed = await scanUntil(({ fresh }) => fresh === refused, scansInAnHour, 'everybody is fresh');
    require(healed.stand.failing === 0 && healed.stand.transientlyFailing === 0, 'a counter is not 0');
    require(healed.stand.connected === refused, 'somebody is not connected');
    note(`the incident heals: all fresh within ${healed.scans} scans, every counter 0`);

    for (const token of tokens) server.revoke(token);
    const dead = await scanUntil(allFailedThrice, 20, 'everybody has failed three times');
    const emailsBefore = await provider.emails(client);
    note(`then all are really revoked: ${dead.stand.disconnected} disconnected, ${await told(dead.stand)}`);
    require(dead.stand.disconnected === 0, 'somebody was disconnected while disconnections are held');
    tellAlarms(day, alarmsBefore, 'disconnections held', { note, require });
    await client.invoke(client.addresses.functionNames.operator, { ask: 'close_circuit', provider: name });
    const closed = await scanUntil(
      ({ disconnected }) => disconnected === refused,
      scansInAnHour,
      'everybody is disconnected',
    );
    const emails = (await provider.emails(client)) - emailsBefore;
    note(
      `an operator closes it (evergrant provider close ${name}): ${closed.stand.disconnected} disconnected within ${closed.scans} scans, ${emails} more emails`,
    );
    require(emails <= refused && emails > 0, 'it is not at most one email each');
    tellOverlaps(provider, { note, require });
  });
}

async function withoutRefreshTokenTold(
  { client, day }: Incident,
  recorder: Recorder,
  provider: CrowdedProvider,
): Promise<void> {
  await recorder.check('without-refresh-token-told', async ({ note, require }) => {
    const email = 'lou@acme-flows.example';
    const grant = { email, refreshToken: null, ageDays: 52, expiresInDays: 8 };
    const id = await connectOne(client, provider, grant);
    await day.nextScan();
    require((await see(client, id)).notifications.length === 0, 'it was told eight days before');
    await day.nextScan(1.5 * aDay);
    await day.nextScan();
    const warned = await see(client, id);
    note(`no refresh token, and an access token of 60 days that ends within a week: ${described(warned)}`);
    require(warned.status === 'connected', 'it was disconnected before its access token ended');
    require(warned.types === 'integration_warning', 'it is not one warning');
    require((await client.emailsTo(email)).length === 0, 'an email was sent');
    note(`"${warned.notifications[0]?.title}": ${warned.notifications[0]?.message}`);
    await day.nextScan(6.6 * aDay);
    const ended = await see(client, id);
    const [mail] = await client.emailsTo(email);
    note(`it has ended: ${described(ended)}; "${mail?.subject}"`);
    require(ended.status === 'needs_reauthorization', `the status is ${ended.status}`);
    require(ended.types === 'integration_warning,integration_disconnected', 'nobody was told of it');
    require(mail?.body.text?.includes(`reconnect=${id}`) === true, 'there is no link to reconnect');
    for (let scan = 0; scan < 3; scan += 1) await day.nextScan();
    require((await see(client, id)).types === ended.types, 'it was told twice');
    require((await client.emailsTo(email)).length === 1, 'it was mailed twice');
    require(provider.server.calls.length === 0, 'the provider was called');
    note('told once of each, and the provider was never called');
  });
}

async function lapseWarned(
  { client, day }: Incident,
  recorder: Recorder,
  provider: CrowdedProvider,
): Promise<void> {
  await recorder.check('lapse-warned', async ({ note, require }) => {
    const { server } = provider;
    const email = 'lea@acme-flows.example';
    const grant = { email, refreshToken: server.mint(email), ageDays: 172, expiresInDays: 0.005 };
    const id = await connectOne(client, provider, { ...grant, refreshTokenExpiresInDays: 8 });
    await day.nextScan();
    const early = await see(client, id);
    require(early.refreshed &&
      early.notifications.length === 0, 'it was not refreshed, or told eight days before');
    await day.nextScan(1.5 * aDay);
    const warned = await see(client, id);
    note(
      `refreshed ${server.calls.length} times, and the grant ends within a week all the same: ${described(warned)}`,
    );
    require(server.calls.length === 2, 'it was not refreshed again');
    require(warned.status === 'connected' && warned.failing === 0, 'it counts as failing');
    require(warned.types === 'integration_warning', 'it is not one warning');
    require((await client.emailsTo(email)).length === 0, 'an email was sent');
    note(`"${warned.notifications[0]?.title}": ${warned.notifications[0]?.message}`);
    await day.nextScan(aDay);
    const later = await see(client, id);
    require(later.types === 'integration_warning', 'it was warned again');
    require(server.calls.length === 3 && later.status === 'connected', 'it was not refreshed once more');
    note('a day later it is refreshed once more, and its user not warned again');
    tellOverlaps(provider, { note, require });
  });
}

interface Seen {
  readonly status: string;
  readonly failing: number;
  readonly refreshed: boolean;
  /** Of its notifications, oldest first. */
  readonly types: string;
  readonly notifications: readonly {
    readonly type: string;
    readonly title: string;
    readonly message: string;
  }[];
}

const described = ({ status, types }: Seen) => `status ${status}, notifications [${types}]`;

async function see(client: Client, id: string): Promise<Seen> {
  const [seen] = await client.sql<Omit<Seen, 'types'>>(
    `SELECT status, coalesce(consecutive_failures, 0) + coalesce(consecutive_transient_failures, 0) AS failing,
       last_refresh_success IS NOT NULL AS refreshed,
       coalesce((SELECT jsonb_agg(jsonb_build_object('type', type, 'title', title, 'message', message) ORDER BY created_at)
         FROM notifications WHERE metadata ->> 'integration_id' = i.id::text), '[]') AS notifications
     FROM integrations i WHERE id = $1`,
    [id],
  );
  if (!seen) throw new Error(`the integration ${id} is gone`);
  return { ...seen, types: seen.notifications.map(({ type }) => type).join() };
}

async function connectOne(
  client: Client,
  { name }: CrowdedProvider,
  grant: {
    readonly email: string;
    readonly refreshToken: string | null;
    readonly ageDays: number;
    readonly expiresInDays: number;
    readonly refreshTokenExpiresInDays?: number;
  },
): Promise<string> {
  const [row] = await client.sql<{ id: string }>(
    `WITH users AS (INSERT INTO local_product.users (email, name) VALUES ($2, $2) RETURNING id)
     INSERT INTO integrations (user_id, provider, status, access_token, refresh_token, created_at, expires_at,
       refresh_token_expires_at)
     SELECT id, $1, 'connected', 'at-first', $3, now() - $4::float8 * interval '1 day',
       now() + $5::float8 * interval '1 day', now() + $6::float8 * interval '1 day' FROM users
     RETURNING id`,
    [
      name,
      grant.email,
      grant.refreshToken,
      grant.ageDays,
      grant.expiresInDays,
      grant.refreshTokenExpiresInDays ?? null,
    ],
  );
  if (!row) throw new Error('no row was inserted');
  return row.id;
}

/** One incident, one alarm: nothing else may have gone off. */
function tellAlarms(day: Day, from: number, expected: string, { note, require }: Evidence): void {
  const changes = day
    .alarms()
    .slice(from)
    .filter((change) => change.from === 'ALARM' || change.to === 'ALARM');
  const short = (name: string) => name.replace(/^[^:]*: /, '');
  for (const { name, from: before, to } of changes) note(`alarm "${short(name)}": ${before} → ${to}`);
  const off = changes.filter(({ to }) => to === 'ALARM').map(({ name }) => short(name));
  require(off.length === 1 && off[0] === expected, `the alarms that went off: ${off.join(', ') || 'none'}`);
}

function tellOverlaps({ server }: CrowdedProvider, { note, require }: Evidence): void {
  const reuse = server.calls.filter((call) => call.reuse).length;
  const overlapped = server.calls.filter((call) => call.overlapped).length;
  note(
    `the provider saw ${server.calls.length} calls, ${reuse} with a spent token, ${overlapped} overlapping`,
  );
  require(reuse === 0 && overlapped === 0, 'the provider saw reuse or overlap');
  require(server.violations.length === 0, `the provider saw: ${server.violations[0]}`);
}
