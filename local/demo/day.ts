import { setTimeout as sleep } from 'node:timers/promises';
import { GetQueueAttributesCommand, type QueueAttributeName, SQSClient } from '@aws-sdk/client-sqs';
import type { AlarmChange } from '../cloud/alarms.ts';
import { dialects } from '../dialects/dialects.ts';
import { TokenServer } from '../dialects/token-server.ts';
import { momentColumns, passingOf } from '../moments.ts';
import type { LocalSystem } from '../system.ts';
import type { Client } from './client.ts';

/** Of the schedule, by default. */
const scanIntervalSeconds = 300;

/**
 * Time as the incidents of a day see it: it stands still while the functions work, and jumps from scan to scan. The
 * database's clock decides what is due and what is held, so all that is stored of moments moves into the past by the same
 * span, and the alarms' clock forward.
 */
export class Day {
  readonly #client: Client;
  readonly #system: LocalSystem;
  readonly #sqs: SQSClient;
  readonly #clock: { nowMs: number };
  readonly #queueUrls: readonly string[];
  readonly #signal: AbortSignal;

  /** `signal` ends the day before its next scan. */
  constructor(system: LocalSystem, client: Client, clock: { nowMs: number }, signal: AbortSignal) {
    this.#signal = signal;
    this.#system = system;
    this.#client = client;
    this.#clock = clock;
    this.#sqs = new SQSClient({
      endpoint: client.addresses.sqs,
      region: 'us-east-1',
      credentials: { accessKeyId: 'operator', secretAccessKey: 'operator' },
    });
    const { refresh, threshold } = client.addresses.queueUrls;
    this.#queueUrls = [refresh, threshold];
  }

  /**
   * Lets the time until the next scan pass, or until one that is further away, scans, and waits until everything that
   * came of it is done.
   */
  async nextScan(afterSeconds = scanIntervalSeconds): Promise<{ readonly claimed: number }> {
    this.#signal.throwIfAborted();
    await this.#pass(afterSeconds);
    const report = await this.#client.invoke<{ claimed: number }>(
      this.#client.addresses.functionNames.scanner,
      {},
    );
    await this.#settle();
    return report;
  }

  /** What the alarms have told so far, as "name: OK → ALARM". */
  alarms(): readonly AlarmChange[] {
    this.#system.cloud.alarms.evaluate();
    return this.#system.cloud.alarms.history();
  }

  end(): void {
    this.#sqs.destroy();
  }

  /** Only while nothing is under way: what is held for a moment must not come free under somebody's hands. */
  async #pass(seconds: number): Promise<void> {
    const columns = await this.#client.sql<{ table: string; columns: string[] }>(momentColumns);
    for (const each of columns) await this.#client.sql(passingOf(each), [seconds]);
    this.#clock.nowMs += seconds * 1000;
  }

  /** Messages leave a queue when the function that got them has ended well. */
  async #settle(): Promise<void> {
    const names: QueueAttributeName[] = [
      'ApproximateNumberOfMessages',
      'ApproximateNumberOfMessagesNotVisible',
      'ApproximateNumberOfMessagesDelayed',
    ];
    const deadlineMs = performance.now() + 60_000;
    for (let quiet = 0; quiet < 2; ) {
      const counts = await Promise.all(
        this.#queueUrls.map((QueueUrl) =>
          this.#sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: names })),
        ),
      );
      const waiting = counts
        .flatMap(({ Attributes: attributes = {} }) => Object.values(attributes))
        .reduce((sum, count) => sum + Number(count), 0);
      quiet = waiting === 0 ? quiet + 1 : 0;
      if (quiet < 2) await sleep(50);
      if (performance.now() > deadlineMs) throw new Error(`${waiting} messages are still waiting after 60 s`);
    }
  }
}

/** A provider with thousands of grants, which the incidents happen at. */
export class CrowdedProvider {
  readonly name: string;
  readonly displayName: string;
  readonly server: TokenServer;
  readonly #clientId: string;
  readonly #clientSecret: string;
  readonly #definition: object;
  #tokenEndpoint = '';

  /** `definition`: what its secret says of it beyond its name and address. */
  constructor(name: string, displayName: string, definition: object = {}) {
    this.name = name;
    this.displayName = displayName;
    this.#definition = definition;
    this.#clientId = `acme-flows-at-${name}`;
    this.#clientSecret = `secret of ${name}: 100 % +/`;
    this.server = new TokenServer({
      dialect: dialects.oidc!,
      client: { id: this.#clientId, secret: this.#clientSecret },
    });
  }

  async start(): Promise<void> {
    this.#tokenEndpoint = `${await this.server.start()}/token`;
  }

  /** The content of its secret. */
  secret(): object {
    return {
      clientId: this.#clientId,
      clientSecret: this.#clientSecret,
      provider: { displayName: this.displayName, tokenEndpoint: this.#tokenEndpoint, ...this.#definition },
    };
  }

  /** Connects so many accounts; their access tokens have five minutes left. Returns the tokens that renew them. */
  async connect(client: Client, count: number): Promise<string[]> {
    const accounts = Array.from(
      { length: count },
      (_, number) => `${this.name}-${number}@acme-flows.example`,
    );
    const tokens = accounts.map((account) => this.server.mint(account));
    await client.sql(
      `WITH connecting AS (
         SELECT gen_random_uuid() AS user_id, * FROM unnest($2::text[], $3::text[]) AS given (email, token)
       ), users AS (
         INSERT INTO local_product.users (id, email, name) SELECT user_id, email, email FROM connecting
       )
       INSERT INTO integrations (user_id, provider, status, access_token, refresh_token, expires_at)
       SELECT user_id, $1, 'connected', 'at-first', token, now() + interval '5 minutes' FROM connecting`,
      [this.name, accounts, tokens],
    );
    return tokens;
  }

  /** Its users disconnect all their accounts in the product. */
  async leave(client: Client): Promise<void> {
    await client.sql(`UPDATE integrations SET status = 'disconnected' WHERE provider = $1`, [this.name]);
  }

  /** How its integrations stand, their users have been told, and their tokens are. */
  async stand(client: Client): Promise<Stand> {
    const [stand] = await client.sql<Stand>(
      `SELECT count(*)::int AS integrations,
         count(*) FILTER (WHERE status = 'connected')::int AS connected,
         count(*) FILTER (WHERE status = 'needs_reauthorization')::int AS disconnected,
         count(*) FILTER (WHERE expires_at > now() + interval '10 minutes')::int AS fresh,
         count(*) FILTER (WHERE coalesce(consecutive_transient_failures, 0) > 0)::int AS "transientlyFailing",
         coalesce(max(consecutive_transient_failures), 0)::int AS "mostTransientFailures",
         count(*) FILTER (WHERE coalesce(consecutive_failures, 0) > 0)::int AS failing,
         coalesce(min(consecutive_failures), 0)::int AS "fewestFailures",
         (SELECT count(*)::int FROM notifications n JOIN integrations j
            ON n.metadata ->> 'integration_id' = j.id::text WHERE j.provider = $1) AS notifications
       FROM integrations WHERE provider = $1`,
      [this.name],
    );
    if (!stand) throw new Error('no answer');
    return stand;
  }

  /** Emails to its accounts. */
  async emails(client: Client): Promise<number> {
    const emails = await client.emails();
    return emails.filter(({ destination }) => destination.to.some((to) => to.startsWith(`${this.name}-`)))
      .length;
  }
}

export interface Stand {
  readonly integrations: number;
  readonly connected: number;
  readonly disconnected: number;
  /** With more than the refresh window left. */
  readonly fresh: number;
  readonly transientlyFailing: number;
  /** The highest counter of them. */
  readonly mostTransientFailures: number;
  readonly failing: number;
  readonly fewestFailures: number;
  readonly notifications: number;
}
