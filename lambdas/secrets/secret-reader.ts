import {
  GetSecretValueCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';

/** How long a secret is used before it is read again: a rotated one takes effect after that at the latest. */
const cacheMs = 5 * 60 * 1000;

/** Reads secrets and keeps them for a few minutes. */
export class SecretReader {
  readonly #client = new SecretsManagerClient({ maxAttempts: 3 });
  readonly #cache = new Map<string, { value: Promise<string | null>; readAtMs: number }>();

  /** The secret's string; `null`: there is no such secret. Throws what the SDK throws for anything else. */
  get(secretId: string): Promise<string | null> {
    const cached = this.#cache.get(secretId);
    if (cached && performance.now() - cached.readAtMs < cacheMs) return cached.value;
    const value = this.#read(secretId);
    this.#cache.set(secretId, { value, readAtMs: performance.now() });
    // A failure is not kept: the next caller asks again.
    value.catch(() => this.forget(secretId));
    return value;
  }

  /** Makes the next `get` ask again: somebody has reason to think that the secret has changed. */
  forget(secretId: string): void {
    this.#cache.delete(secretId);
  }

  async #read(secretId: string): Promise<string | null> {
    try {
      const { SecretString: value } = await this.#client.send(
        new GetSecretValueCommand({ SecretId: secretId }),
      );
      return value ?? null;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return null;
      throw error;
    }
  }
}

/** A secret that the function cannot work without is missing or unusable. Holds no part of its value. */
export class SecretUnusable extends Error {
  override readonly name = 'SecretUnusable';
  readonly code = 'secret_unusable';
}

/** The pooled and the direct URL of the database secret. Throws `SecretUnusable` naming the field. */
export async function readDatabaseSecret(
  secrets: SecretReader,
  secretId: string,
): Promise<{ readonly url: string; readonly directUrl: string }> {
  const value = await secrets.get(secretId);
  const fix = `Put {"url": "postgres://…", "directUrl": "postgres://…"} into the secret ${secretId}`;
  if (value === null) throw new SecretUnusable(`${fix}: it does not exist or is empty.`);
  let document: { url?: unknown; directUrl?: unknown } | null;
  try {
    document = JSON.parse(value);
  } catch {
    throw new SecretUnusable(`${fix}: it is not JSON.`);
  }
  const { url, directUrl = url } = document ?? {};
  for (const [field, address] of Object.entries({ url, directUrl })) {
    if (typeof address !== 'string' || !/^postgres(ql)?:\/\//.test(address) || !URL.canParse(address)) {
      throw new SecretUnusable(`${fix}: ${field} is not a postgres:// URL.`);
    }
  }
  return { url: url as string, directUrl: directUrl as string };
}
