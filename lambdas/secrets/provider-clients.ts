import { findInCatalogue } from '../providers/catalogue.ts';
import { clientWithoutSecret, type ProviderClient, parseProviderClient } from '../providers/client.ts';
import type { SecretReader } from './secret-reader.ts';

export type ProviderClientLookup =
  /** `secretId`: what the client was read from; `null`: nothing, its provider wants to know nothing of a client. */
  | { readonly ok: true; readonly client: ProviderClient; readonly secretId: string | null }
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

/** Names whose secrets may hold our client at a provider, the first that there is: its own, and of an alias the entry's. */
export function secretNamesOf(provider: string): readonly string[] {
  const entry = findInCatalogue(provider)?.name ?? provider;
  return entry === provider ? [provider] : [provider, entry];
}

/**
 * Our client at a provider. `read` gives the string of the secret with an id, `null` where there is none; what it
 * throws is thrown on.
 */
export async function findProviderClient(
  provider: string,
  prefix: string,
  read: (secretId: string) => Promise<string | null>,
): Promise<ProviderClientLookup> {
  if (!isProviderName(provider)) return invalidProviderName;
  const names = secretNamesOf(provider);
  for (const name of names) {
    const secretId = prefix + name;
    const secret = await read(secretId);
    if (secret === null) continue;
    const parsed = parseProviderClient(name, secret);
    if (parsed.ok) return { ok: true, client: parsed.value, secretId };
    return {
      ok: false,
      code: 'provider_secret_malformed',
      fix: `Mend the secret ${secretId}: ${parsed.problem}.`,
    };
  }
  const client = clientWithoutSecret(provider);
  if (client !== null) return { ok: true, client, secretId: null };
  return {
    ok: false,
    code: 'provider_not_configured',
    fix: `Create the secret ${prefix}${names.at(-1)} with the client's credentials.`,
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
    let secretId = '';
    try {
      const found = await findProviderClient(provider, this.#prefix, (id) => {
        secretId = id;
        return this.#secrets.get(id);
      });
      if (!found.ok && found.code === 'provider_secret_malformed') this.#secrets.forget(secretId);
      return found;
    } catch (error) {
      const name = error instanceof Error ? error.name : typeof error;
      return {
        ok: false,
        code: 'provider_secret_unavailable',
        fix: `Secrets Manager did not give ${secretId}: ${name}.`,
      };
    }
  }

  /** After the provider refused our client: the secret may have been put right, or made, since it was read. */
  forget(provider: string): void {
    for (const name of secretNamesOf(provider)) this.#secrets.forget(this.#prefix + name);
  }
}
