import { massRefusalLimits, probesPerScan } from '../../lambdas/domain/provider-guards.ts';
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
  onProgress: (step: string) => void,
): Promise<void> {
  const resources = new AsyncDisposableStack();
  try {
    const drive = new CrowdedProvider('hooli-drive', 'Hooli Drive');
    const crm = new CrowdedProvider('vandelay-crm', 'Vandelay CRM');
    for (const provider of [drive, crm]) {
      await provider.start();
      resources.defer(() => provider.server.stop());
    }
    const clock = { nowMs: 0 };
    const system = await startSystem({
      directory,
      persistent: false,
      providers: [],
      clients: { [drive.name]: drive.secret(), [crm.name]: crm.secret() },
      scanIntervalMs: null,
      alarmClock: () => clock.nowMs,
      // The only time-out that has to be waited for.
      settings: { callTimeoutSeconds: 3 },
      onProgress,
    });
    resources.defer(() => system.stop());
    const client = new Client(addressesOf(system));
    resources.defer(() => client.end());
    const day = new Day(system, client, clock);
    resources.defer(() => day.end());
    await outageIsOneAlarm({ client, day }, recorder, drive);
    await massRefusalHeld({ client, day }, recorder, crm);
  } finally {
    await resources.disposeAsync();
  }
}

/** What the incidents happen in: a system in which nothing happens but by the day's clock. */
interface Incident {
  readonly client: Client;
  readonly day: Day;
}

/** Twenty batches of a refresher. */
const crowd = 2_000;
const scansInAnHour = 12;
/** By default. */
const refreshersAtOnce = 5;
/** With a batch of messages each: what can be under way when nobody knows of the outage yet. */
const mostInFlight = 100 * refreshersAtOnce;

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
      server.condition = scan === 4 ? 'silent' : scan % 2 === 0 ? 'unavailable' : 'resetting';
      const before = server.calls.length;
      await day.nextScan();
      callsByScan.push(server.calls.length - before);
    }
    const [first = 0, ...later] = callsByScan;
    const during = await provider.stand(client);
    note(
      `down for an hour (503, broken connections, no answer): calls by scan ${callsByScan.join(', ')}; bound: ${mostInFlight} under way when it begins, then ${probesPerScan} probes a scan`,
    );
    require(first > 0 && first <= mostInFlight, `${first} calls were under way at the begin`);
    require(later.every((count) => count <= probesPerScan), 'a scan made more calls than its probes');
    require(later.some((count) => count > 0), 'nobody probed');
    note(
      `meanwhile: ${during.connected} connected, ${during.disconnected} disconnected, ${during.transientlyFailing} transient counters above 0, ${during.failing} others, ${during.notifications} notifications, ${await provider.emails(client)} emails`,
    );
    require(during.disconnected === 0, 'somebody was disconnected');
    require(during.failing === 0, 'a counter of permanent failures moved');
    require(during.transientlyFailing <= 10, 'counters of waiting integrations moved');
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

const refused = 300;

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
    const healed = await scanUntil(({ fresh }) => fresh === refused, 3, 'everybody is fresh');
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
      3,
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

/** One incident, one alarm: nothing else may have gone off. */
function tellAlarms(day: Day, from: number, expected: string, { note, require }: Evidence): void {
  const changes = day.alarms().slice(from);
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
