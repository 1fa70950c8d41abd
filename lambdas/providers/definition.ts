import { problemsOf, z } from '../schema.ts';

const failureMeaning = z.enum(['transient', 'permanent', 'invalid_refresh_token', 'operator']);

/** What an error code of a provider means for a grant. */
export type FailureMeaning = z.infer<typeof failureMeaning>;

const seconds = z.int().check(z.positive());

const tokenEndpoint = z.url({ protocol: /^https?$/ }).check(
  z.refine((address) => address.startsWith('https://') || isLoopback(address), {
    error: 'must start with https:// (plain http is accepted for loopback addresses only)',
  }),
  z.refine((address) => !URL.canParse(address) || hasNoCredentials(new URL(address)), {
    error: 'must not hold credentials; put them into clientId and clientSecret',
  }),
);

const definition = z.strictObject({
  /** Shown to users: "Google", "Acme Calendar". */
  displayName: z
    .string()
    .check(
      z.minLength(1),
      z.maxLength(100),
      z.regex(/^\P{Cc}*$/u, { error: 'must hold no control characters' }),
    ),
  /** RFC 6749 §3.2. */
  tokenEndpoint,
  /** RFC 6749 §2.3.1; `none`: a public client that sends only its `client_id`. */
  clientAuthentication: z._default(
    z.enum(['client_secret_basic', 'client_secret_post', 'none']),
    'client_secret_basic',
  ),
  /** Sent with every refresh beside `grant_type` and `refresh_token`. */
  extraParameters: z._default(z.record(z.string(), z.string()), {}),
  /** Lifetime of an access token where the answer carries no `expires_in`; by default an hour. */
  accessTokenLifetimeSeconds: z.optional(seconds),
  /** Error codes that mean something else here than in RFC 6749 §5.2. */
  errorMeanings: z._default(z.record(z.string(), failureMeaning), {}),
});

/** A provider as data: how its token endpoint is called and how its answers are read. */
export type ProviderDefinition = z.infer<typeof definition>;

const clientSecret = z.strictObject({
  clientId: z.string().check(z.minLength(1)),
  clientSecret: z.optional(z.string().check(z.minLength(1))),
  provider: definition,
});

/** One provider with the credentials of our client there: the content of one secret. */
export type ProviderClient = z.infer<typeof clientSecret>;

export type ParsedProviderClient =
  | { readonly ok: true; readonly client: ProviderClient }
  /** `problem` names every faulty field and holds no value, so that it can be logged. */
  | { readonly ok: false; readonly problem: string };

/** Reads the content of a provider's secret. Never throws; the problem names the field and what it must be. */
export function parseProviderClient(secret: string): ParsedProviderClient {
  let document: unknown;
  try {
    document = JSON.parse(secret);
  } catch {
    return { ok: false, problem: 'the secret is not JSON' };
  }
  const parsed = clientSecret.safeParse(document);
  if (!parsed.success) return { ok: false, problem: problemsOf(parsed.error, 'the secret') };
  const { provider } = parsed.data;
  if (provider.clientAuthentication !== 'none' && parsed.data.clientSecret === undefined) {
    return { ok: false, problem: `clientSecret: needed for ${provider.clientAuthentication}` };
  }
  return { ok: true, client: parsed.data };
}

function hasNoCredentials({ username, password }: URL): boolean {
  return username === '' && password === '';
}

function isLoopback(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
