import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { App, Stack } from 'aws-cdk-lib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { databaseEnv, functionEnv, operatorEnv } from '../../../lambdas/contract.ts';
import type { VerifyReport } from '../../../lambdas/operator/reports.ts';
import { createDatabase } from '../../../lib/database.ts';
import { Operator } from '../../../lib/operator.ts';
import { Secrets } from '../../../lib/secrets.ts';
import { parseSettings } from '../../../lib/settings.ts';
import { timingOf } from '../../../lib/timing.ts';
import { startSecrets } from '../../support/aws.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

let db: TestDatabase;
let secrets: Awaited<ReturnType<typeof startSecrets>>;
/** Folder of the bundle, as Lambda unpacks it. */
let taskRoot: string;

beforeAll(async () => {
  [db, secrets] = await Promise.all([testDatabase(), startSecrets({})]);
  secrets.put('database', { url: db.url });
  secrets.put('token-key', { current: 'ab'.repeat(32) });
  const app = new App();
  const stack = new Stack(app, 'Stack');
  const settings = parseSettings({ database: 'existing' });
  new Operator(stack, 'Operator', {
    database: createDatabase(stack, 'Database', settings),
    secrets: new Secrets(stack, 'Secrets', settings),
    settings,
    timing: timingOf(settings),
  });
  const { directory } = app.synth();
  const assets = (await readdir(directory)).filter((name) => name.startsWith('asset.'));
  expect(assets).toHaveLength(1);
  taskRoot = path.join(directory, assets[0]!);
});
afterAll(async () => {
  await secrets.stop();
  await db.end();
});

/** Invokes the bundle in a process of its own, with nothing of this project in reach. */
async function invoke(event: object): Promise<unknown> {
  const script = `
    import { createRequire } from 'node:module';
    const { handler } = createRequire('/')(process.argv[1]);
    const context = { awsRequestId: 'r', getRemainingTimeInMillis: () => 60000 };
    const answer = await handler(JSON.parse(process.argv[2]), context);
    process.stdout.write('ANSWER ' + JSON.stringify(answer) + '\\n');`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '-e', script, path.join(taskRoot, 'index.js'), JSON.stringify(event)],
    {
      cwd: taskRoot,
      env: {
        ...process.env,
        LAMBDA_TASK_ROOT: taskRoot,
        [databaseEnv.source]: 'database',
        [functionEnv.timeoutSeconds]: '60',
        [operatorEnv.tokenKeySecretId]: 'token-key',
        [operatorEnv.providerSecretPrefix]: 'providers/',
        [operatorEnv.refreshWindowSeconds]: '600',
        [operatorEnv.scanIntervalSeconds]: '300',
        [operatorEnv.attemptHoldSeconds]: '45',
      },
    },
  );
  return JSON.parse(/^ANSWER (.*)$/m.exec(stdout)![1]!);
}

it('the bundle answers, and knows the migrations of its version', async () => {
  const { checks } = (await invoke({ ask: 'verify' })) as VerifyReport;
  const stateOf = (code: string) => checks.find((check) => check.code === code)?.state;
  for (const code of ['database_reachable', 'token_key', 'schema_version', 'statements', 'clock']) {
    expect(stateOf(code), code).toBe('ok');
  }
  await db.sql(`DELETE FROM evergrant.migrations WHERE name = '0003_notification_types'`);
  const again = (await invoke({ ask: 'verify' })) as VerifyReport;
  expect(again.checks.find(({ code }) => code === 'schema_version')).toMatchObject({
    state: 'failed',
    found: 'Not in force: 0003_notification_types.',
  });
  expect(await invoke({ ask: 'status' })).toMatchObject({ providers: [], failingCount: 0 });
});
