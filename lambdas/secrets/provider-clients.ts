import { type ProviderClient, parseProviderClient } from '../providers/client.ts';
import type { SecretReader } from './secret-reader.ts';

export type ProviderClientLookup =
  | { readonly ok: true; readonly client: ProviderClient }
  /** An operator's fault: `fix` says what to do and holds no part of the secret. */
  | { readonly ok: false; readonly code: string; readonly fix: string };

/** Whether a provider's name can be the end of a secret's name. */
export function isProviderName(name: string): boolean {
  return /^[\w.-]{1,100}$/.test(name);
}

export const invalidProviderName = {
  ok: false,
  code: 'provider_name_invalid',
  fix: 'Use letters, digits, ".", "_" and "-" in integrations.provider.',
} as const satisfies ProviderClientLookup;

/** Our client at a provider, from what its secret holds; `null`: there is no such secret. */
export function readProviderSecret(
  name: string,
  secretId: string,
  secret: string | null,
): ProviderClientLookup {
  if (secret === null) {
    return {
      ok: false,
      code: 'provider_not_configured',
      fix: `Create the secret ${secretId} with the client's credentials.`,
    };
  }
  const parsed = parseProviderClient(name, secret);
  if (parsed.ok) return { ok: true, client: parsed.value };
  return {
    ok: false,
    code: 'provider_secret_malformed',
    fix: `Mend the secret ${secretId}: ${parsed.problem}.`,
  };
}

/** Finds our client at a provider: one secret per provider, named by the prefix and the provider. */
export class ProviderClients {
  readonly #secrets: SecretReader;
  readonly #prefix: string;

  constructor(secrets: SecretReader, prefix: string) {
    this.#secrets = secrets;
    this.#prefix = prefix;
  }

  async get(provider: string): Promise<ProviderClientLookup> {
    if (!isProviderName(provider)) return invalidProviderName;
    const secretId = this.#prefix + provider;
    let secret: string | null;
    try {
      secret = await this.#secrets.get(secretId);
    } catch (error) {
      const name = error instanceof Error ? error.name : typeof error;
      return {
        ok: false,
        code: 'provider_secret_unavailable',
        fix: `Secrets Manager did not give ${secretId}: ${name}.`,
      };
    }
    const found = readProviderSecret(provider, secretId, secret);
    if (!found.ok && secret !== null) this.#secrets.forget(secretId);
    return found;
  }

  /** After the provider refused our client: the secret may have been put right since it was read. */
  forget(provider: string): void {
    this.#secrets.forget(this.#prefix + provider);
  }
}
