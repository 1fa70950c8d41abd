import { eachProblemOf, z } from '../schema.ts';
import { variablesOfAnyHost } from './address.ts';
import { findInCatalogue } from './catalogue.ts';
import {
  type Parsed,
  type ProviderDefinition,
  type ProviderDescription,
  parseDefinition,
} from './definition.ts';

const text = z.string().check(z.minLength(1));

const secretContent = z.strictObject({
  clientId: z.optional(text),
  clientSecret: z.optional(text),
  /** PKCS #8 PEM, for `private_key_jwt`. */
  privateKey: z.optional(text),
  /** `kid` that the provider knows the key by. */
  keyId: z.optional(text),
  /** Values of the definition's variables that come from the client. */
  variables: z._default(z.record(z.string(), text), {}),
  /** Name in the catalogue of the provider whose definition this is; by default the secret's own. */
  extends: z.optional(text),
  /** What differs from the catalogue, or a whole definition. */
  provider: z._default(z.record(z.string(), z.unknown()), {}),
});

/** Our client at one provider: who we are there, and how it is talked to. */
export interface ProviderClient {
  /** `null` where nothing of a client is sent. */
  readonly clientId: string | null;
  readonly clientSecret: string | null;
  /** PKCS #8 PEM. */
  readonly privateKey: string | null;
  readonly keyId: string | null;
  readonly variables: Readonly<Record<string, string>>;
  readonly provider: ProviderDefinition;
}

/** Records that an override adds to instead of replacing them. */
const mergedFields = [
  'variables',
  'extraParameters',
  'headers',
  'errorMeanings',
  'authorizationParameters',
] as const;

/**
 * Reads the content of the secret of the provider `name`: credentials, and what its definition has beyond or against the
 * catalogue's. Never throws; a problem names the field and what it must be.
 */
export function parseProviderClient(name: string, secret: string): Parsed<ProviderClient> {
  let document: unknown;
  try {
    document = JSON.parse(secret);
  } catch {
    return { ok: false, problems: ['the secret is not JSON'] };
  }
  const parsed = secretContent.safeParse(document);
  if (!parsed.success) {
    const problems = eachProblemOf(parsed.error, 'the secret');
    // Whoever mends a secret wants to know everything at once.
    if (isRecord(document) && isRecord(document.provider)) {
      const base = typeof document.extends === 'string' ? document.extends : undefined;
      const known = baseOf(name, base, document.provider);
      const given = parseDefinition(merge(known?.description ?? {}, document.provider));
      if (!given.ok && (base === undefined || known !== null)) problems.push(...given.problems);
    }
    return { ok: false, problems };
  }
  const { extends: base, provider: override, ...client } = parsed.data;
  const known = baseOf(name, base, override);
  if (base !== undefined && known === null) {
    return {
      ok: false,
      problems: ['extends: must be a provider of the catalogue (evergrant provider list)'],
    };
  }
  const definition = parseDefinition(merge(known?.description ?? {}, override));
  if (!definition.ok) return definition;
  const provider = withMeaningsFirst(definition.value, override);
  const problems = [...problemsOfCredentials(provider, client), ...problemsOfHost(provider, client)];
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    value: {
      clientId: client.clientId ?? null,
      clientSecret: client.clientSecret ?? null,
      privateKey: client.privateKey ?? null,
      keyId: client.keyId ?? null,
      variables: client.variables,
      provider,
    },
  };
}

/** A client of a provider that wants to know nothing of one; `null`: it does, or the catalogue does not know it. */
export function clientWithoutSecret(name: string): ProviderClient | null {
  const known = findInCatalogue(name);
  const definition = known && parseDefinition(known.description);
  if (!definition?.ok) return null;
  const { clientAuthentication, renewal } = definition.value;
  if (clientAuthentication !== 'anonymous' && renewal !== 'none') return null;
  return {
    clientId: null,
    clientSecret: null,
    privateKey: null,
    keyId: null,
    variables: {},
    provider: definition.value,
  };
}

/**
 * What a definition is laid over. One that has the two fields which nobody else can know is whole: its provider only
 * happens to have a name of the catalogue, so that nothing of the entry may change how it is talked to.
 */
function baseOf(
  name: string,
  base: string | undefined,
  override: Readonly<Record<string, unknown>>,
): ReturnType<typeof findInCatalogue> {
  if (base !== undefined) return findInCatalogue(base);
  const isWhole = Object.hasOwn(override, 'displayName') && Object.hasOwn(override, 'tokenEndpoint');
  return isWhole ? null : findInCatalogue(name);
}

function merge(base: Partial<ProviderDescription>, override: Readonly<Record<string, unknown>>): object {
  const merged: Record<string, unknown> = { ...base, ...override };
  for (const field of mergedFields) {
    const added = override[field];
    if (isRecord(base[field]) && isRecord(added)) merged[field] = { ...base[field], ...added };
  }
  // The operator's own rules are looked at first.
  if (Array.isArray(override.errorRules)) {
    merged.errorRules = [...override.errorRules, ...(base.errorRules ?? [])];
  }
  return merged;
}

/**
 * What an operator says of an error comes before every rule of the catalogue: one who gains time by calling it transient
 * need not know which rules would call it otherwise.
 */
function withMeaningsFirst(
  provider: ProviderDefinition,
  override: Readonly<Record<string, unknown>>,
): ProviderDefinition {
  const ownRules = Array.isArray(override.errorRules) ? override.errorRules.length : 0;
  if (provider.errorRules.length === ownRules) return provider;
  const rules = Object.entries(provider.errorMeanings)
    .filter(([error]) => isRecord(override.errorMeanings) && Object.hasOwn(override.errorMeanings, error))
    .map(([error, meaning]) => ({ headers: {}, fields: { error }, meaning }));
  return { ...provider, errorRules: provider.errorRules.toSpliced(ownRules, 0, ...rules) };
}

function problemsOfCredentials(
  { clientAuthentication, renewal }: ProviderDefinition,
  given: {
    readonly clientId?: string | undefined;
    clientSecret?: string | undefined;
    privateKey?: string | undefined;
  },
): readonly string[] {
  if (renewal === 'none' || clientAuthentication === 'anonymous') return [];
  const missing: string[] = [];
  if (given.clientId === undefined && clientAuthentication !== 'client_secret_as_user') {
    missing.push(`clientId: needed for ${clientAuthentication}`);
  }
  if (clientAuthentication.startsWith('client_secret') && given.clientSecret === undefined) {
    missing.push(`clientSecret: needed for ${clientAuthentication}`);
  }
  if (clientAuthentication === 'private_key_jwt' && given.privateKey === undefined) {
    missing.push(`privateKey: needed for ${clientAuthentication} (PKCS #8 in PEM)`);
  }
  return missing;
}

function problemsOfHost(
  provider: ProviderDefinition,
  { variables }: { readonly variables: Readonly<Record<string, string>> },
): readonly string[] {
  return variablesOfAnyHost(provider)
    .filter((name) => !Object.hasOwn(variables, name))
    .map(
      (name) =>
        `provider.variables.${name}.pattern: must say which hosts are meant ("acme\\.com|acme\\.eu"), or tokenEndpoint must go on behind {${name}} with a domain of the provider's (".acme.com"): what stands in a row decides where credentials and tokens are sent`,
    );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
