import { findInCatalogue } from '../providers/catalogue.ts';
import { clientWithoutSecret, type ProviderClient, parseProviderClient } from '../providers/client.ts';
import type { SecretReader } from './secret-reader.ts';

export type ProviderClientLookup =
  | {
      readonly ok: true;
      readonly client: ProviderClient;
      /** The provider whose client this is: all names that share it have the same. */
      readonly clientName: string;
      /** What the client was read from; `null`: nothing, its provider wants to know nothing of a client. */
      readonly secretId: string | null;
    }
  /** An operator's fault: `fix` says what to do and holds no part of the secret. */
  | {
      readonly ok: false;
      readonly code: string;
      readonly fix: string;
      /** Of a secret that cannot be used: the name that it ends in, and its problems one by one. */
      readonly malformed?: { readonly name: string; readonly problems: readonly string[] };
    };

/** Whether a provider's name can be the end of a secret's name. */
export function isProviderName(name: string): boolean {
  return /^[\w.-]{1,100}$/.test(name);
}

const invalidProviderName = {
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
  return clientIn(await readSecretOf(provider, prefix, read), provider, prefix);
}

/** The secret that speaks of a provider. */
interface FoundSecret {
  readonly name: string;
  readonly value: string;
}

/** The first that there is of the secrets that may hold our client; `null`: none. */
async function readSecretOf(
  provider: string,
  prefix: string,
  read: (secretId: string) => Promise<string | null>,
): Promise<FoundSecret | null> {
  for (const name of secretNamesOf(provider)) {
    const value = await read(prefix + name);
    if (value !== null) return { name, value };
  }
  return null;
}

function clientIn(secret: FoundSecret | null, provider: string, prefix: string): ProviderClientLookup {
  if (secret !== null) {
    const secretId = prefix + secret.name;
    const parsed = parseProviderClient(secret.name, secret.value);
    return parsed.ok
      ? { ok: true, client: parsed.value, clientName: secret.name, secretId }
      : {
          ok: false,
          code: 'provider_secret_malformed',
          fix: `Mend the secret ${secretId}: ${parsed.problems.join('; ')}.`,
          malformed: { name: secret.name, problems: parsed.problems },
        };
  }
  const client = clientWithoutSecret(provider);
  if (client !== null) {
    return { ok: true, client, clientName: findInCatalogue(provider)?.name ?? provider, secretId: null };
  }
  return {
    ok: false,
    code: 'provider_not_configured',
    fix: `Create the secret ${prefix}${secretNamesOf(provider).at(-1)} with the client's credentials.`,
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

  /** What came of a provider's secret when it was looked at last: a batch asks two hundred times for the same. */
  readonly #known = new Map<
    string,
    { readonly secret: string | null; readonly found: ProviderClientLookup }
  >();

  async get(provider: string): Promise<ProviderClientLookup> {
    if (!isProviderName(provider)) return invalidProviderName;
    let secretId = '';
    try {
      const secret = await readSecretOf(provider, this.#prefix, (id) => {
        secretId = id;
        return this.#secrets.get(id);
      });
      const found = this.#clientIn(secret, provider);
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

  #clientIn(secret: FoundSecret | null, provider: string): ProviderClientLookup {
    const key = secret && `${secret.name}\n${secret.value}`;
    const known = this.#known.get(provider);
    if (known?.secret === key) return known.found;
    const found = clientIn(secret, provider, this.#prefix);
    this.#known.set(provider, { secret: key, found });
    return found;
  }

  /** After the provider refused our client: the secret may have been put right, or made, since it was read. */
  forget(provider: string): void {
    for (const name of secretNamesOf(provider)) this.#secrets.forget(this.#prefix + name);
  }
}
