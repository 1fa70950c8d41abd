import { randomBytes } from 'node:crypto';
import { startFauxqs } from 'fauxqs';
import { type ReceivedEmail, startEmail } from '../../local/cloud/email.ts';
import { startSecrets } from '../support/aws.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { type Handler, loadStage, type Stage, stageEnvironments } from '../support/stages.ts';

/** The functions of this process with everything that they talk to: Postgres, SQS, Secrets Manager, SES. */
export interface Functions {
  readonly db: TestDatabase;
  readonly secrets: Awaited<ReturnType<typeof startSecrets>>;
  load(stage: Stage, changes?: Record<string, string | undefined>): Promise<Handler>;
  /** The bodies that wait in the queues, in the order in which they were sent; they are taken out. */
  take(): { readonly refresh: string[]; readonly threshold: string[] };
  /** The inbox of an address. */
  inboxOf(address: string): Promise<ReceivedEmail[]>;
  stop(): Promise<void>;
}

export async function startFunctions(database: Promise<TestDatabase> = testDatabase()): Promise<Functions> {
  const [db, sqs, secrets, email] = await Promise.all([
    database,
    startFauxqs({ port: 0, logger: false }),
    startSecrets({}),
    startEmail({ onEvent: () => {} }),
  ]);
  secrets.put('database', { url: db.url });
  secrets.put('token-key', { current: randomBytes(32).toString('hex') });
  process.env.AWS_ENDPOINT_URL_SQS = `http://127.0.0.1:${sqs.port}`;
  process.env.AWS_ENDPOINT_URL_SESV2 = email.endpoint;
  const queues = ['refresh', 'threshold', 'sealed'] as const;
  for (const queue of queues) sqs.createQueue(queue);
  const environments = stageEnvironments((name) => `http://127.0.0.1:${sqs.port}/000000000000/${name}`);
  return {
    db,
    secrets,
    load: (stage, changes) => loadStage(stage, environments, changes),
    take() {
      const [refresh, threshold] = (['refresh', 'threshold'] as const).map((name) =>
        (sqs.inspectQueue(name)?.messages.ready ?? []).map(({ body }) => body),
      );
      sqs.purgeAll();
      for (const name of queues) sqs.createQueue(name);
      return { refresh: refresh as string[], threshold: threshold as string[] };
    },
    async inboxOf(address) {
      return (await email.list()).filter(({ destination }) => destination.to.includes(address));
    },
    async stop() {
      await Promise.all([sqs.stop(), secrets.stop(), email.stop(), db.end()]);
    },
  };
}
