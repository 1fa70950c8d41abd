import type { Adapter, AdapterPayload } from 'oidc-provider';

/** What the provider knows of a refresh token that it issued once, whether or not it is still good. */
export interface KnownRefreshToken {
  account: string;
  grantId: string;
  /** It was exchanged already, so presenting it again is reuse (RFC 9700 section 4.14.2). */
  consumed: boolean;
}

interface Entry {
  payload: AdapterPayload;
  expiresAtMs: number;
}

const GRANT_BOUND_MODELS = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);

/** An expired refresh token stays for this long, so that its refusal says "expired" and names an account. */
const EXPIRED_REFRESH_TOKEN_RETENTION_MS = 60 * 60 * 1000;

const SWEEP_INTERVAL_MS = 60 * 1000;

/**
 * The memory of one provider. oidc-provider's own memory adapter holds 1,000 entries and then evicts silently,
 * which would look like thousands of revoked grants; this one drops nothing before its expiry.
 * Expired entries are swept while writing, so no timer is left behind.
 */
export class GrantStore {
  readonly #entries = new Map<string, Entry>();
  readonly #revokedRefreshTokens = new Map<string, Entry>();
  readonly #tokenKeysByGrant = new Map<string, Set<string>>();
  readonly #grantsByAccount = new Map<string, Set<string>>();
  readonly #sessionsByUid = new Map<string, string>();
  #nextSweepAtMs = Date.now() + SWEEP_INTERVAL_MS;

  /** The storage of one model, in the shape that oidc-provider's `adapter` setting asks for. */
  readonly adapter = (model: string): Adapter => ({
    upsert: async (id, payload, expiresInSeconds) => this.put(model, id, payload, expiresInSeconds),
    find: async (id) => this.#find(model, id),
    findByUid: async (uid) => this.#find(model, this.#sessionsByUid.get(uid) ?? ''),
    findByUserCode: async () => undefined,
    consume: async (id) => {
      const entry = this.#entries.get(keyOf(model, id));
      if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
    },
    destroy: async (id) => this.#remove(keyOf(model, id)),
    revokeByGrantId: async (grantId) => this.#revokeTokens(grantId),
  });

  /** Stores or replaces one payload; without `expiresInSeconds` it stays until removed. */
  put(model: string, id: string, payload: AdapterPayload, expiresInSeconds?: number): void {
    this.#sweepWhenDue();
    const retentionMs = model === 'RefreshToken' ? EXPIRED_REFRESH_TOKEN_RETENTION_MS : 0;
    const expiresAtMs =
      expiresInSeconds === undefined ? Infinity : Date.now() + expiresInSeconds * 1000 + retentionMs;
    const key = keyOf(model, id);
    this.#entries.set(key, { payload, expiresAtMs });
    if (GRANT_BOUND_MODELS.has(model) && payload.grantId) {
      addTo(this.#tokenKeysByGrant, payload.grantId, key);
    }
    if (model === 'Grant' && payload.accountId) addTo(this.#grantsByAccount, payload.accountId, id);
    if (model === 'Session' && payload.uid) this.#sessionsByUid.set(payload.uid, id);
  }

  /** What is known of a refresh token, also after it was consumed, revoked or expired (for an hour). */
  refreshToken(value: string): KnownRefreshToken | undefined {
    const key = keyOf('RefreshToken', value);
    const payload = (this.#entries.get(key) ?? this.#revokedRefreshTokens.get(key))?.payload;
    if (!payload?.accountId || !payload.grantId) return undefined;
    return {
      account: payload.accountId,
      grantId: payload.grantId,
      consumed: payload.consumed !== undefined,
    };
  }

  /** Grants that are in force, over all accounts. */
  grantCount(): number {
    let count = 0;
    for (const grants of this.#grantsByAccount.values()) count += grants.size;
    return count;
  }

  /** Revokes every grant of an account with all of its tokens; returns how many grants there were. */
  revokeAccount(account: string): number {
    const grantIds = [...(this.#grantsByAccount.get(account) ?? [])];
    for (const grantId of grantIds) {
      this.#revokeTokens(grantId);
      this.#remove(keyOf('Grant', grantId));
    }
    return grantIds.length;
  }

  #find(model: string, id: string): AdapterPayload | undefined {
    const entry = this.#entries.get(keyOf(model, id));
    return entry && entry.expiresAtMs > Date.now() ? entry.payload : undefined;
  }

  #revokeTokens(grantId: string): void {
    for (const key of [...(this.#tokenKeysByGrant.get(grantId) ?? [])]) this.#remove(key);
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    const { model, id } = partsOf(key);
    const { grantId, accountId, uid } = entry.payload;
    if (model === 'RefreshToken' && entry.expiresAtMs > Date.now()) {
      this.#revokedRefreshTokens.set(key, entry);
    }
    if (GRANT_BOUND_MODELS.has(model) && grantId) removeFrom(this.#tokenKeysByGrant, grantId, key);
    if (model === 'Grant' && accountId) removeFrom(this.#grantsByAccount, accountId, id);
    if (model === 'Session' && uid) this.#sessionsByUid.delete(uid);
  }

  #sweepWhenDue(): void {
    const nowMs = Date.now();
    if (nowMs < this.#nextSweepAtMs) return;
    this.#nextSweepAtMs = nowMs + SWEEP_INTERVAL_MS;
    for (const [key, entry] of this.#entries) {
      if (entry.expiresAtMs <= nowMs) this.#remove(key);
    }
    for (const [key, entry] of this.#revokedRefreshTokens) {
      if (entry.expiresAtMs <= nowMs) this.#revokedRefreshTokens.delete(key);
    }
  }
}

function keyOf(model: string, id: string): string {
  return `${model}:${id}`;
}

function partsOf(key: string): { model: string; id: string } {
  const colon = key.indexOf(':');
  return { model: key.slice(0, colon), id: key.slice(colon + 1) };
}

function addTo(index: Map<string, Set<string>>, key: string, member: string): void {
  const members = index.get(key);
  if (members) members.add(member);
  else index.set(key, new Set([member]));
}

function removeFrom(index: Map<string, Set<string>>, key: string, member: string): void {
  const members = index.get(key);
  members?.delete(member);
  if (members?.size === 0) index.delete(key);
}
