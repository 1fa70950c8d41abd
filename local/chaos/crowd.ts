import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosDatabase } from './database.ts';
import type { Grant } from './ledger.ts';
import type { ChaosProvider } from './provider.ts';

/** What a user did. */
export interface UserAction {
  readonly kind: 'reconnect' | 'disconnect' | 'delete' | 'revoke';
  readonly startedAtMs: number;
  endedAtMs: number | null;
}

/** An account that a user has connected. */
export interface Member {
  readonly id: string;
  readonly userId: string;
  readonly email: string;
  readonly provider: ChaosProvider;
  /** What its user wants of it. */
  state: 'connected' | 'disconnected' | 'deleted';
  /** The latest that its user gave. */
  grant: Grant;
  readonly actions: UserAction[];
}

/** The product's users, and what they do while everything else breaks. */
export class Crowd {
  readonly members: Member[] = [];
  readonly byId = new Map<string, Member>();
  readonly #database: ChaosDatabase;
  readonly #tokenSeconds: () => number;

  constructor(database: ChaosDatabase, tokenSeconds: () => number) {
    this.#database = database;
    this.#tokenSeconds = tokenSeconds;
  }

  /**
   * Connects accounts at a provider: grants that it gives by itself, or one for each of these refresh tokens. Their access
   * tokens fall due one after the other within `spreadSeconds`, and the first of them in `firstDueSeconds`.
   */
  async connect(
    provider: ChaosProvider,
    accounts: number | readonly string[],
    due: { readonly firstSeconds: number; readonly spreadSeconds: number },
  ): Promise<void> {
    const given = typeof accounts === 'number' ? Array.from({ length: accounts }, () => null) : accounts;
    const rows = given.map((refreshToken) => {
      const id = randomUUID();
      const connected =
        refreshToken === null
          ? provider.connect(id)
          : { grant: provider.adopt(id, refreshToken), refreshToken };
      const email = `${id}@acme-flows.example`;
      const member: Member = {
        id,
        userId: randomUUID(),
        email,
        provider,
        state: 'connected',
        grant: connected.grant,
        actions: [],
      };
      this.members.push(member);
      this.byId.set(id, member);
      return { member, refreshToken: connected.refreshToken };
    });
    await this.#database.sql(
      `WITH connecting AS (
         SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) AS given (id, user_id, email, token)
       ), users AS (
         INSERT INTO local_product.users (id, email, name) SELECT user_id, email, 'Chris' FROM connecting
       )
       INSERT INTO integrations (id, user_id, provider, access_token, refresh_token, expires_at)
       SELECT id, user_id, $1, 'at-first', token, now() + make_interval(secs => $6 + random() * $7) FROM connecting`,
      [
        provider.name,
        rows.map(({ member }) => member.id),
        rows.map(({ member }) => member.userId),
        rows.map(({ member }) => member.email),
        rows.map(({ refreshToken }) => refreshToken),
        due.firstSeconds,
        due.spreadSeconds,
      ],
    );
  }

  /** The user connects the account anew; the grant before is of no use to anybody then. */
  async reconnect(member: Member): Promise<void> {
    await this.#act(member, 'reconnect', async () => {
      const { grant, refreshToken } = member.provider.connect(member.id);
      await this.#untilDone(
        `UPDATE integrations
         SET status = 'connected', access_token = 'at-first', refresh_token = $2,
             expires_at = now() + make_interval(secs => $3), disconnect_reason = NULL, updated_at = now()
         WHERE id = $1`,
        [member.id, refreshToken, this.#tokenSeconds()],
      );
      member.grant = grant;
    });
  }

  async disconnect(member: Member): Promise<void> {
    member.state = 'disconnected';
    await this.#act(member, 'disconnect', () =>
      this.#untilDone(`UPDATE integrations SET status = 'disconnected', updated_at = now() WHERE id = $1`, [
        member.id,
      ]),
    );
  }

  async delete(member: Member): Promise<void> {
    member.state = 'deleted';
    await this.#act(member, 'delete', () =>
      this.#untilDone('DELETE FROM integrations WHERE id = $1', [member.id]),
    );
  }

  async revoke(member: Member): Promise<void> {
    await this.#act(member, 'revoke', async () => {
      member.grant.revokedByUser = true;
    });
  }

  /** Those that Evergrant has disconnected and whose users still want them. */
  async disconnected(): Promise<Member[]> {
    const rows = await this.#database.sql<{ id: string }>(
      `SELECT id FROM integrations WHERE status = 'needs_reauthorization'`,
    );
    return rows
      .map(({ id }) => this.byId.get(id))
      .filter((member) => member !== undefined)
      .filter((member) => member.provider.givesGrants && isIdle(member));
  }

  /** One that its user has connected and leaves alone at the moment, by a number from 0 up to 1. */
  pick(choice: number): Member | null {
    const start = Math.floor(choice * this.members.length);
    for (let step = 0; step < this.members.length; step += 1) {
      const member = this.members[(start + step) % this.members.length] as Member;
      if (isIdle(member) && !member.grant.revokedByUser && member.provider.givesGrants) return member;
    }
    return null;
  }

  async #act(member: Member, kind: UserAction['kind'], work: () => Promise<void>): Promise<void> {
    const action: UserAction = { kind, startedAtMs: Date.now(), endedAtMs: null };
    member.actions.push(action);
    await work();
    action.endedAtMs = Date.now();
  }

  /** A user tries again until the product says that it is done; each of these statements may be repeated. */
  async #untilDone(statement: string, parameters: readonly unknown[]): Promise<void> {
    for (;;) {
      try {
        await this.#database.sql(statement, parameters);
        return;
      } catch {
        await sleep(300);
      }
    }
  }
}

function isIdle({ state, actions }: Member): boolean {
  return state === 'connected' && actions.at(-1)?.endedAtMs !== null;
}
