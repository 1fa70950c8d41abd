import { problemsOf, z } from '../schema.ts';

const failureMeaning = z.enum(['transient', 'permanent', 'invalid_refresh_token', 'operator']);

/** What an error code of a provider means for a grant. */
export type FailureMeaning = z.infer<typeof failureMeaning>;

const seconds = z.int().check(z.positive());

const endpoint = z.url({ protocol: /^https?$/ }).check(
  z.refine((address) => address.startsWith('https://') || isLoopback(address), {
    error: 'must start with https:// (plain http is accepted for loopback addresses only)',
  }),
  z.refine((address) => !URL.canParse(address) || hasNoCredentials(new URL(address)), {
    error: 'must not hold credentials; put them into clientId and clientSecret',
  }),
);

/** RFC 6749 §3.3. */
const scope = z.string().check(
  z.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, {
    error: 'must be one scope: visible ASCII characters but quotes and backslashes',
  }),
);

/** What an authorization request says by itself (RFC 6749 §4.1.1, RFC 7636 §4.3), or relies on. */
const ownParameters = [
  'client_id',
  'code_challenge',
  'code_challenge_method',
  'redirect_uri',
  'response_mode',
  'response_type',
  'scope',
  'state',
];

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
  tokenEndpoint: endpoint,
  /** RFC 6749 §2.3.1; `none`: a public client that sends only its `client_id`. */
  clientAuthentication: z._default(
    z.enum(['client_secret_basic', 'client_secret_post', 'none']),
    'client_secret_basic',
  ),
  /** Sent with every request to the token endpoint, beside what the grant type demands. */
  extraParameters: z._default(z.record(z.string(), z.string()), {}),
  /** Lifetime of an access token where the answer carries no `expires_in`; by default an hour. */
  accessTokenLifetimeSeconds: z.optional(seconds),
  /** Error codes that mean something else here than in RFC 6749 §5.2. */
  errorMeanings: z._default(z.record(z.string(), failureMeaning), {}),
  /** RFC 6749 §3.1. This and what follows serve to connect an account by the command line; refreshes need none of it. */
  authorizationEndpoint: z.optional(endpoint),
  /** What `iss` in an authorization response must be, RFC 9207; by default anything of the authorization endpoint's origin. */
  issuer: z.optional(endpoint),
  /** Asked for when an account is connected. */
  scopes: z.optional(z.array(scope)),
  /** Sent with the authorization request, such as Google's `access_type` and `prompt`. */
  authorizationParameters: z.optional(
    z.record(z.string(), z.string()).check(
      z.refine((parameters) => !ownParameters.some((name) => Object.hasOwn(parameters, name)), {
        error: `must not hold ${ownParameters.join(', ')}: these are set by the request itself (scopes has a field of its own)`,
      }),
    ),
  ),
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

/** What is wrong with an address as an endpoint, after the name of what holds it; `null`: nothing. */
export function problemOfEndpoint(address: string, name: string): string | null {
  const parsed = endpoint.safeParse(address);
  return parsed.success ? null : problemsOf(parsed.error, name);
}

/** What is wrong with a text as one scope, after the name of what holds it; `null`: nothing. */
export function problemOfScope(text: string, name: string): string | null {
  const parsed = scope.safeParse(text);
  return parsed.success ? null : problemsOf(parsed.error, name);
}

function hasNoCredentials({ username, password }: URL): boolean {
  return username === '' && password === '';
}

function isLoopback(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
