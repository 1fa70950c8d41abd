import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, styleText } from 'node:util';
import pg from 'pg';
import { addressesOf, Client } from './demo/client.ts';
import {
  eventsOnce,
  type KilledEvent,
  killNotifierBetweenRowAndMail,
  leastPrivilege,
  nothingLeaks,
  operatorAnswered,
  rollsBack,
} from './demo/endings.ts';
import { playIncidents } from './demo/incidents.ts';
import { type Check, Recorder } from './demo/recorder.ts';
import * as stories from './demo/stories.ts';
import { addPerson, brownfieldSchema, type Person, World } from './demo/world.ts';
import { ProductStore } from './product/store.ts';
import { startSystem } from './system.ts';

const help = `Plays the acceptance scenario against a fresh local system and shows the evidence for each promise.

Usage
  npm run demo                      each check with its evidence, as it is found
  npm run --silent demo -- --json   one JSON document: {"checks": [{"name", "ok", "evidence"}], "ok"}

Options
  --json   for machines; progress goes to standard error
  --help   this text

Exit codes: 0 every check holds, 1 one does not or the system could not start, 2 wrong usage.
`;

/** Tokens live an hour, and the stories age them; one provider's live a minute. */
const hour = 3600;
const providers = [
  {
    name: 'acme-calendar',
    displayName: 'Acme Calendar',
    clientAuth: 'client_secret_basic',
    accessTokenLifetimeSeconds: hour,
  },
  {
    name: 'globex-crm',
    displayName: 'Globex CRM',
    clientAuth: 'client_secret_post',
    accessTokenLifetimeSeconds: hour,
  },
  {
    name: 'initech-mail',
    displayName: 'Initech Mail',
    clientAuth: 'client_secret_basic',
    accessTokenLifetimeSeconds: hour,
  },
  {
    name: 'soylent-chat',
    displayName: 'Soylent Chat',
    clientAuth: 'client_secret_basic',
    accessTokenLifetimeSeconds: 60,
  },
] as const;

/** People whose integrations were failing before Evergrant came. */
type OldPeople = Record<'two' | 'seven' | 'none' | 'killed', Person>;

async function main(): Promise<number> {
  let json: boolean;
  try {
    const { values } = parseArgs({
      options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      process.stdout.write(help);
      return 0;
    }
    json = values.json ?? false;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nTry: npm run demo -- --help\n`);
    return 2;
  }
  const out = json ? process.stderr : process.stdout;
  const startedAtMs = performance.now();
  const recorder = new Recorder((check) => out.write(told(check, out)));
  const canaries = new Set<string>();
  let old: OldPeople | undefined;
  const directory = await mkdtemp(path.join(tmpdir(), 'evergrant-demo-'));
  const abort = new AbortController();
  abort.signal.addEventListener('abort', () => recorder.close());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
  const onProgress = (step: string) => void out.write(`… ${step}\n`);
  const ended = new AbortController();
  // Beside the stories, which wait most of their time.
  const incidents = playIncidents(path.join(directory, 'incidents'), recorder, {
    signal: AbortSignal.any([abort.signal, ended.signal]),
    onProgress: (step) => onProgress(`${step}, for what takes hours`),
  });
  incidents.catch(() => undefined);
  try {
    const system = await startSystem({
      directory,
      persistent: false,
      scanIntervalMs: 1_000,
      providers,
      settings: { retryDelaySeconds: 3 },
      onProgress,
      beforeCloud: async ({ databaseUrl, providers: started }) => {
        const acme = started[0]!;
        old = await brownfield(databaseUrl, (store, name) => addPerson(store, acme, name, canaries));
      },
    });
    const client = new Client(addressesOf(system));
    try {
      const world = new World(client, system.store, system.providers);
      for (const canary of canaries) world.canaries.add(canary);
      const interrupted = new Promise<never>((_, reject) => {
        const stop = () => reject(new Error('interrupted'));
        // It may have come while the system was starting.
        if (abort.signal.aborted) stop();
        else abort.signal.addEventListener('abort', stop);
      });
      await Promise.race([play(world, recorder, old!), interrupted]);
      await Promise.race([settled(recorder, [incidents]), interrupted]);
      await settled(recorder, [leastPrivilege(system.cloud.permissionUsage(), recorder)]);
    } finally {
      await client.end();
      await system.stop();
    }
  } finally {
    ended.abort();
    await incidents.catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  }
  const checks = recorder.results();
  const ok = checks.every((check) => check.ok);
  if (json) process.stdout.write(`${JSON.stringify({ checks, ok })}\n`);
  for (const check of checks.filter(({ evidence }) => evidence[0]?.startsWith('FAILED: not reached')))
    out.write(told(check, out));
  const held = checks.filter((check) => check.ok).length;
  out.write(
    `\n${held} of ${checks.length} checks hold, after ${Math.round((performance.now() - startedAtMs) / 1000)} s.\n`,
  );
  return ok ? 0 : 1;
}

async function play(world: World, recorder: Recorder, old: OldPeople): Promise<void> {
  const sampling = setInterval(() => world.collectTokens().catch(() => undefined), 700);
  try {
    await settled(recorder, [
      stories.schemaApplied(world, recorder),
      killBoth(world, old.killed).then(([killed, copy]) =>
        settled(recorder, [
          stories.sealedResult(world, recorder, copy),
          stories.refreshing(world, recorder),
          stories.invalidRefreshToken(world, recorder),
          stories.otherPermanentFailure(world, recorder),
          stories.rateLimit(world, recorder),
          stories.operatorFault(world, recorder),
          stories.noRetroactiveAlerts(world, recorder, old),
          stories.duplicates(world, recorder),
          stories.reconnectWins(world, recorder),
          stories.shortLivedToken(world, recorder),
          stories.poison(world, recorder),
          eventsOnce(world, recorder, killed),
        ]),
      ),
    ]);
  } finally {
    clearInterval(sampling);
  }
  await settled(recorder, [nothingLeaks(world, recorder)]);
  await settled(recorder, [operatorAnswered(world, recorder)]);
  await settled(recorder, [rollsBack(world, recorder)]);
}

/** One after the other, as each kills a function with all that it has in hands. */
async function killBoth(world: World, told: Person): Promise<[KilledEvent, stories.SealedCopy]> {
  return [await killNotifierBetweenRowAndMail(world, told), await stories.killRefresherWithResult(world)];
}

/** Waits for all. What a story rejects with stands in the recorder already, or leaves its checks unreached. */
async function settled(recorder: Recorder, running: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(running)) {
    if (result.status === 'rejected' && !recorder.isClosed)
      process.stderr.write(`${(result.reason as Error).message}\n`);
  }
}

async function brownfield(
  databaseUrl: string,
  connect: (store: ProductStore, name: string) => Promise<Person>,
): Promise<OldPeople> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  const store = new ProductStore(databaseUrl);
  try {
    await pool.query(brownfieldSchema);
    await store.createUsers();
    const people = {
      two: await connect(store, 'stood-at-two'),
      seven: await connect(store, 'stood-at-seven'),
      none: await connect(store, 'stood-at-null'),
      killed: await connect(store, 'told-once'),
    };
    for (const [person, count] of [
      [people.two, 2],
      [people.seven, 7],
      [people.killed, 2],
    ] as const) {
      await pool.query(
        'UPDATE integrations SET consecutive_failures = $2, last_failure_at = now() WHERE id = $1',
        [person.integrationId, count],
      );
    }
    return people;
  } finally {
    await pool.end();
    await store.end();
  }
}

function told({ name, ok, evidence }: Check, stream: NodeJS.WriteStream): string {
  const mark = ok ? styleText('green', '✔', { stream }) : styleText('red', '✘', { stream });
  const lines = evidence.map((line) => `    ${line}\n`).join('');
  return `${mark} ${styleText('bold', name, { stream })}\n${lines}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\nThe demo could not be played: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
