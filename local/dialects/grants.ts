import { randomBytes } from 'node:crypto';
import type { Dialect } from './dialect.ts';

/** A grant that the server gave out. */
export interface Grant {
  readonly account: string;
  /** Calls with one of its tokens that are under way. */
  inFlight: number;
  revoked: boolean;
}

interface KnownToken {
  readonly grant: Grant;
  /** When it was exchanged; `null`: it is good. */
  spentAtMs: number | null;
  successor: string | null;
}

/** What a presented token is worth. `reuse`: it was spent, and the grace is over. */
export type Redeemed =
  | { readonly kind: 'good'; readonly token: string }
  | { readonly kind: 'reuse' }
  | { readonly kind: 'dead' };

/** The tokens of one provider: every one it ever gave out, so that a spent one is told from a strange one. */
export class Grants {
  readonly #tokens = new Map<string, KnownToken>();
  readonly #dialect: Dialect;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** A grant as an authorization gives it, and the token that renews it. */
  mint(account: string): string {
    return this.#issue({ account, inFlight: 0, revoked: false });
  }

  /** The grant of a token, spent or good; `null`: it was never given out here. */
  of(token: string): Grant | null {
    return this.#tokens.get(token)?.grant ?? null;
  }

  /** The user takes the grant back. */
  revoke(token: string): void {
    const grant = this.of(token);
    if (grant) grant.revoked = true;
  }

  /** Exchanges a token for the one that is good from now on. */
  redeem(token: string, atMs: number): Redeemed {
    const known = this.#tokens.get(token);
    if (!known || known.grant.revoked) return { kind: 'dead' };
    const { rotation, graceSeconds = 0, replay = 'another', reuse = 'refused' } = this.#dialect;
    if (rotation === 'same') return { kind: 'good', token };
    if (rotation === 'exchange') return { kind: 'good', token: this.#issue(known.grant) };
    if (known.spentAtMs !== null) {
      if (atMs - known.spentAtMs >= graceSeconds * 1000) {
        if (reuse === 'kills') known.grant.revoked = true;
        return { kind: 'reuse' };
      }
      if (replay === 'successor' && known.successor !== null) return { kind: 'good', token: known.successor };
    }
    known.spentAtMs ??= atMs;
    known.successor = this.#issue(known.grant);
    return { kind: 'good', token: known.successor };
  }

  /** With the characters that do not survive a careless encoding. */
  #issue(grant: Grant): string {
    const token = `1//0${randomBytes(24).toString('base64')}+=`;
    this.#tokens.set(token, { grant, spentAtMs: null, successor: null });
    return token;
  }
}
