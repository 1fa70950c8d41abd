import type { ProductProvider } from '../product/server.ts';
import type { ProductStore } from '../product/store.ts';
import { connectAccount } from '../provider/connect.ts';
import { type Client, eventually } from './client.ts';

/** Somebody with one integration, connected through the authorization code flow. */
export interface Person {
  readonly email: string;
  readonly userId: string;
  readonly integrationId: string;
  readonly provider: ProductProvider;
}

/** What the checks look at in an integration, its notifications and its events, in one snapshot. */
export interface Snapshot {
  readonly status: string;
  readonly consecutive_failures: number | null;
  readonly consecutive_transient_failures: number | null;
  readonly disconnect_reason: string | null;
  readonly refresh_token: string;
  readonly access_token: string;
  readonly expires_in_seconds: number;
  readonly last_refresh_attempt: Date | null;
  readonly last_refresh_success: Date | null;
  readonly refresh_claim: string;
  readonly notifications: readonly string[];
}

/** The product before Evergrant: its own tables, with row-level security and old rows. */
export const brownfieldSchema = `
CREATE TABLE integrations (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid NOT NULL, provider text NOT NULL,
  status text NOT NULL DEFAULT 'connected', access_token text, refresh_token text, expires_at timestamptz,
  refresh_token_expires_at timestamptz, scopes text[], metadata jsonb, consecutive_failures integer,
  disconnect_reason text, last_refresh_attempt timestamptz, last_refresh_success timestamptz,
  last_failure_at timestamptz, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE notifications (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid NOT NULL, type text NOT NULL, title text NOT NULL,
  message text, action_url text, action_label text, metadata jsonb, is_read boolean DEFAULT false,
  created_at timestamptz DEFAULT now(),
  CONSTRAINT notifications_type_check CHECK (type IN
    ('team_invitation', 'workflow_shared', 'execution_failed', 'integration_disconnected', 'system')));
ALTER TABLE integrations ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications ENABLE ROW LEVEL SECURITY;
INSERT INTO notifications (user_id, type, title) VALUES (gen_random_uuid(), 'team_invitation', 'From before');`;

/** People and their integrations, for the stories of the demo. */
export class World {
  readonly client: Client;
  readonly store: ProductStore;
  /** Every token and secret that must never be seen where it does not belong. */
  readonly canaries = new Set<string>();
  readonly #providers: ReadonlyMap<string, ProductProvider>;

  constructor(client: Client, store: ProductStore, providers: readonly ProductProvider[]) {
    this.client = client;
    this.store = store;
    this.#providers = new Map(providers.map((each) => [each.provider.name, each]));
    for (const { client: oauthClient } of providers) this.canaries.add(oauthClient.clientSecret);
  }

  provider(name: string): ProductProvider {
    const found = this.#providers.get(name);
    if (!found) throw new Error(`no provider ${name}`);
    return found;
  }

  async person(name: string, providerName = 'acme-calendar'): Promise<Person> {
    return addPerson(this.store, this.provider(providerName), name, this.canaries);
  }

  /** The user goes through the provider's pages again, and the product stores the new grant. */
  async reconnect(person: Person): Promise<{ refreshToken: string; accessToken: string }> {
    const connection = await connectAccount(person.provider.provider, {
      account: person.email,
      client: person.provider.client,
    });
    this.canaries.add(connection.accessToken).add(connection.refreshToken);
    await this.store.reconnect(person.integrationId, connection);
    return connection;
  }

  /** Lets time pass for these integrations: their access tokens have five minutes left. */
  async age(...people: readonly Person[]): Promise<void> {
    await this.client.sql(
      `UPDATE integrations SET expires_at = now() + interval '5 minutes' WHERE id = ANY($1)`,
      [people.map(({ integrationId }) => integrationId)],
    );
  }

  async see({ integrationId }: Person): Promise<Snapshot> {
    const [row] = await this.client.sql<Snapshot>(
      `SELECT status, consecutive_failures, consecutive_transient_failures, disconnect_reason, refresh_token,
              access_token, extract(epoch FROM expires_at - now())::int AS expires_in_seconds,
              last_refresh_attempt, last_refresh_success, refresh_claim,
              array(SELECT type FROM notifications n WHERE n.metadata ->> 'integration_id' = i.id::text
                    ORDER BY created_at) AS notifications
       FROM integrations i WHERE id = $1`,
      [integrationId],
    );
    if (!row) throw new Error(`the integration ${integrationId} is gone`);
    return row;
  }

  /** Waits until a snapshot of the integration is as wanted. */
  seen(
    person: Person,
    what: string,
    wanted: (row: Snapshot) => boolean,
    timeoutMs?: number,
  ): Promise<Snapshot> {
    const probe = async () => {
      const row = await this.see(person);
      return wanted(row) ? row : null;
    };
    return eventually(`${person.email}: ${what}`, probe, timeoutMs);
  }

  calls(person: Person) {
    return this.client.calls(person.provider.provider.origin, person.email);
  }

  fault(person: Person, fault: object): Promise<void> {
    return this.client.addFault(person.provider.provider.origin, { account: person.email, ...fault });
  }

  /** Remembers the tokens that are in the database right now. */
  async collectTokens(): Promise<void> {
    const rows = await this.client.sql<{ access_token: string; refresh_token: string }>(
      'SELECT access_token, refresh_token FROM integrations',
    );
    for (const stored of rows.flatMap((row) => [row.access_token, row.refresh_token])) {
      const token = await this.client.openToken(stored).catch(() => null);
      if (token !== null && token.length >= 16) this.canaries.add(token);
    }
  }
}

/** Connects somebody's account; works before Evergrant has touched the database. */
export async function addPerson(
  store: ProductStore,
  provider: ProductProvider,
  name: string,
  canaries: Set<string>,
): Promise<Person> {
  const email = `${name}@acme-flows.example`;
  const user = await store.addUser(email, name);
  const connection = await connectAccount(provider.provider, { account: email, client: provider.client });
  canaries.add(connection.accessToken).add(connection.refreshToken);
  const integrationId = await store.connect(user.id, provider.provider.name, connection);
  return { email, userId: user.id, integrationId, provider };
}
