import {
  GetSecretValueCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';

/** How long a secret is used before it is read again: a rotated one takes effect after that at the latest. */
export const secretCacheMs = 5 * 60 * 1000;

/** A secret is read no more often than this, however often somebody doubts it. */
const minimumAgeMs = 1_000;

/**
 * How long a secret that is known already is waited for when it is read again, and how long none is asked for after that
 * was in vain. Results wait for secrets as well, and a Secrets Manager that hangs must not cost them their time.
 */
const rereadMs = 2_000;
const awayPauseMs = 10_000;

/** Reads secrets and keeps them for a few minutes. */
export class SecretReader {
  readonly #client = new SecretsManagerClient({
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true },
  });
  readonly #cache = new Map<string, CachedSecret>();

  /** The secret's string; `null`: there is no such secret. Throws what the SDK throws for anything else. */
  get(secretId: string): Promise<string | null> {
    const cached = this.#cache.get(secretId);
    if (cached && performance.now() < usableUntilMs(cached)) return cached.value;
    const next: CachedSecret = {
      // Secrets Manager being away must not cost a result that Postgres would take: what was read last still serves.
      value: this.#read(secretId, cached && AbortSignal.timeout(rereadMs)).catch((error) => {
        if (!cached) {
          this.#cache.delete(secretId);
          throw error;
        }
        next.askAgainAtMs = performance.now() + awayPauseMs;
        return cached.value;
      }),
      readAtMs: performance.now(),
      doubted: false,
      askAgainAtMs: null,
    };
    this.#cache.set(secretId, next);
    return next.value;
  }

  /** Makes the next `get` ask again: somebody has reason to think that the secret has changed. */
  forget(secretId: string): void {
    const cached = this.#cache.get(secretId);
    if (cached) cached.doubted = true;
  }

  async #read(secretId: string, signal: AbortSignal | undefined): Promise<string | null> {
    try {
      const { SecretString: value } = await this.#client.send(
        new GetSecretValueCommand({ SecretId: secretId }),
        { ...(signal && { abortSignal: signal }) },
      );
      return value ?? null;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return null;
      throw error;
    }
  }
}

interface CachedSecret {
  readonly value: Promise<string | null>;
  readonly readAtMs: number;
  doubted: boolean;
  /** Secrets Manager was away when this was to be read again; it is the one before. */
  askAgainAtMs: number | null;
}

function usableUntilMs({ readAtMs, doubted, askAgainAtMs }: CachedSecret): number {
  return askAgainAtMs ?? readAtMs + (doubted ? minimumAgeMs : secretCacheMs);
}

/** A secret that the function cannot work without is missing or unusable. Holds no part of its value. */
export class SecretUnusable extends Error {
  override readonly name = 'SecretUnusable';
  readonly code = 'secret_unusable';
}

/**
 * The database secret, in either of two forms: `{"url", "directUrl", "ca"}`, the pooled and the direct URL and the PEM
 * certificates of the authority that signed the server's, if it is none that is known; or what RDS puts into a
 * secret, `{"host", "port", "username", "password", "dbname"}` (Secrets Manager User Guide, "JSON structure of
 * database secrets"). Throws `SecretUnusable` naming the field.
 */
export async function readDatabaseSecret(
  secrets: SecretReader,
  secretId: string,
): Promise<{ readonly url: string; readonly directUrl: string; readonly ca: string | undefined }> {
  const value = await secrets.get(secretId);
  const fix = `Put {"url": "postgres://…", "directUrl": "postgres://…"} into the secret ${secretId}`;
  if (value === null) throw new SecretUnusable(`${fix}: it does not exist or is empty.`);
  let document: Readonly<Record<string, unknown>> | null;
  try {
    document = JSON.parse(value);
  } catch {
    throw new SecretUnusable(`${fix}: it is not JSON.`);
  }
  const { url = urlFromParts(document ?? {}), directUrl = url, ca } = document ?? {};
  for (const [field, address] of Object.entries({ url, directUrl })) {
    if (typeof address !== 'string' || !/^postgres(ql)?:\/\//.test(address) || !URL.canParse(address)) {
      throw new SecretUnusable(`${fix}: ${field} is not a postgres:// URL.`);
    }
    if (endsWithinPassword(new URL(address))) {
      throw new SecretUnusable(
        `${fix}: the password in ${field} must have its /, ?, # and @ percent-encoded (%2F, %3F, %23, %40).`,
      );
    }
  }
  if (ca !== undefined && !(typeof ca === 'string' && ca.includes('-----BEGIN CERTIFICATE-----'))) {
    throw new SecretUnusable(`${fix}: ca is not a PEM certificate.`);
  }
  return { url: url as string, directUrl: directUrl as string, ca: ca as string | undefined };
}

/**
 * Whether the host was found within a password that should have been percent-encoded: what of it comes first would be
 * looked up as a name, and told with the failure.
 */
function endsWithinPassword({ pathname, search, hash }: URL): boolean {
  const withoutValue = search.split('&').some((parameter) => /^[^=]*@/.test(parameter));
  return pathname.includes('@') || withoutValue || hash !== '';
}

/** The URL that RDS' own form stands for; `undefined` if it is not that form. */
function urlFromParts({
  host,
  port = 5432,
  username,
  password,
  dbname = 'postgres',
}: Record<string, unknown>) {
  const isText = (part: unknown) => typeof part === 'string' && part.isWellFormed();
  if (![host, username, password, dbname].every(isText)) return undefined;
  const [user, secret, database] = [username, password, dbname].map((part) =>
    encodeURIComponent(String(part)),
  );
  return `postgres://${user}:${secret}@${host}:${port}/${database}`;
}
