import { eachProblemOf, problemsOf, z } from '../schema.ts';

const failureMeaning = z.enum(['transient', 'permanent', 'invalid_refresh_token', 'operator']);

/** What an error of a provider means for a grant. */
export type FailureMeaning = z.infer<typeof failureMeaning>;

const seconds = z.int().check(z.positive());
const text = z.string().check(z.minLength(1));
const parameters = z.record(z.string(), z.string());

/** What a request to a token endpoint says by itself. */
const ownHeaders = [
  'accept',
  'authorization',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
];

/** Ways of authentication that stand in the Authorization header. */
const inHeader = ['client_secret_basic', 'client_secret_basic_raw', 'client_secret_as_user'];

/** RFC 9110 §5.1 and §5.5, without those that a request to a token endpoint has of itself. */
const requestHeaders = parameters.check(
  z.refine(
    (given) =>
      Object.entries(given).every(
        ([name, value]) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\x20-\x7e]*$/.test(value),
      ),
    { error: 'must be names and values of headers: visible ASCII characters' },
  ),
  z.refine((given) => !Object.keys(given).some((name) => ownHeaders.includes(name.toLowerCase())), {
    error: `must not hold ${ownHeaders.join(', ')}: these are set by the request itself`,
  }),
);

/** `{name}` in an address: filled in from our client's secret or from the integration. */
const variableInAddress = /\{(\w+)\}/g;

const secure = z.refine<string>((address) => address.startsWith('https://') || isLoopback(address), {
  error: 'must start with https:// (plain http is accepted for loopback addresses only)',
});
const withoutCredentials = z.refine<string>(
  (address) => !URL.canParse(address) || hasNoCredentials(new URL(address)),
  { error: 'must not hold credentials; put them into clientId and clientSecret' },
);
const endpoint = z.url({ protocol: /^https?$/ }).check(secure, withoutCredentials);

/** An endpoint that may hold variables, none of them in front of the host. */
const endpointTemplate = z.string().check(
  z.refine((address) => /^https?:\/\//.test(address) && URL.canParse(filled(address)), {
    error: 'Invalid URL',
  }),
  secure,
  z.refine((address) => !URL.canParse(filled(address)) || hasNoCredentials(new URL(filled(address))), {
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

const variable = z.strictObject({
  /** `client`: the same for all users, from the secret. `integration`: differs by user, from the row's `metadata`. */
  from: z.enum(['client', 'integration']),
  /** Regular expression that a value must match from its begin to its end. */
  pattern: text.check(z.refine(isRegularExpression, { error: 'must be a regular expression' })),
  /** What may follow a value, and is cut off: ".zendesk.com", where products keep the whole host as well. */
  suffix: z.optional(text),
  /** What it is, with an example: "the name before .zendesk.com, such as acme". */
  description: text,
  /** Where nobody says otherwise. */
  default: z.optional(text),
});

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const contained = z.strictObject({ contains: text });

/**
 * One way in which a provider says that it refused. `fields` are paths into the JSON body (`error`, `errors.0.code`),
 * each with the value that stands there, the values of which one does, or a text that its string contains, whatever the
 * case; of a list in the body, one element must fit. All must hold; a rule without fields holds for every body, also for
 * one that is no JSON.
 */
const errorRule = z
  .strictObject({
    status: z.optional(z.int()),
    /** Headers of the answer, each with a text that it contains, whatever the case. */
    headers: z._default(z.record(text, contained), {}),
    fields: z._default(
      z.record(text, z.union([scalar, z.array(scalar).check(z.minLength(1)), contained])),
      {},
    ),
    meaning: failureMeaning,
    /** Of `domain/failure-codes.ts`; by default what the meaning is called there. */
    code: z.optional(text.check(z.regex(/^[a-z][a-z0-9_]{0,63}$/))),
  })
  .check(
    z.refine(
      ({ fields, meaning }) =>
        Object.keys(fields).length > 0 || meaning === 'transient' || meaning === 'operator',
      { error: 'needs fields: without a word of the provider nobody is disconnected' },
    ),
    z.refine(
      ({ fields, status }) => Object.keys(fields).length > 0 || (status !== undefined && status >= 300),
      { error: 'needs fields, or the status of a refusal' },
    ),
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
  /** The provider's own page about refreshing, or about its OAuth as a whole. */
  documentation: z.optional(z.url()),
  /**
   * What a new access token is obtained with: the refresh token (RFC 6749 §6), or the access token itself, which is
   * then exchanged before it expires. `none`: there is nothing to renew.
   */
  renewal: z._default(z.enum(['refresh_token', 'access_token', 'none']), 'refresh_token'),
  /** RFC 6749 §3.2. May hold `{variables}`. Needed unless there is nothing to renew. */
  tokenEndpoint: z.optional(endpointTemplate),
  /** What stands for the `{variables}` in the addresses. */
  variables: z._default(z.record(z.string().check(z.regex(/^\w+$/)), variable), {}),
  /** How the parameters travel: form-encoded or JSON in a POST, or in the query of a GET. */
  requestFormat: z._default(z.enum(['form', 'json', 'query']), 'form'),
  /**
   * RFC 6749 §2.3.1, RFC 7523 §2.2. `client_secret_basic_raw`: Basic without the form-encoding that the RFC asks for,
   * for providers that do not decode. `client_secret_as_user`: Basic with the secret as the user and no password
   * (Stripe). `none`: a public client that sends only its `client_id`. `anonymous`: nothing of a client is sent.
   */
  clientAuthentication: z._default(
    z.enum([
      'client_secret_basic',
      'client_secret_basic_raw',
      'client_secret_as_user',
      'client_secret_post',
      'private_key_jwt',
      'none',
      'anonymous',
    ]),
    'client_secret_basic',
  ),
  grantType: z._default(text, 'refresh_token'),
  /** Name of the parameter with the token that is presented. */
  tokenParameter: z._default(text, 'refresh_token'),
  /** Where the token that is presented stands; `bearer`: in the Authorization header. */
  tokenPlacement: z._default(z.enum(['parameter', 'bearer']), 'parameter'),
  /** Name of the parameter with our client's id. */
  clientIdParameter: z._default(text, 'client_id'),
  /** Sent with every request to the token endpoint, beside what the grant type demands. */
  extraParameters: z._default(parameters, {}),
  /** Sent with every request to the token endpoint. */
  headers: z._default(requestHeaders, {}),
  /** Calls to the token endpoint that the provider allows in a second, all of our functions together. */
  callsPerSecond: z.optional(z.number().check(z.positive())),
  /** Whether a call with a token that nobody has issued tells good client credentials from bad ones. */
  credentialsCanBeTried: z._default(z.boolean(), true),

  /** Lifetime of an access token where the answer does not say; by default an hour. */
  accessTokenLifetimeSeconds: z.optional(seconds),
  /** The access token is a JWT, and its `exp` says how long it lives where the answer does not. */
  lifetimeFromJwt: z._default(z.boolean(), false),
  /** Whether a refresh brings a new refresh token, which ends the one that was used. */
  rotation: z._default(z.enum(['always', 'sometimes', 'never', 'unknown']), 'unknown'),
  /**
   * For so long a refresh token that was used may be used again, so that a lost answer can be asked for again. Too much is
   * worse than too little: where a second use ends the grant, it makes sure of the loss.
   */
  reuseGraceSeconds: z._default(z.int().check(z.nonnegative()), 0),
  /** How long refresh tokens live where the answer does not say; counted anew from each refresh, or never. */
  refreshTokenLifetime: z.optional(z.strictObject({ seconds, from: z.enum(['refresh', 'authorization']) })),

  /** Field of the answer that holds the tokens, where they do not stand on top. */
  tokensAt: z.optional(text),
  /** Where HTTP 200 may be a refusal: the field that says so, and its value when it is none. */
  success: z.optional(z.strictObject({ field: text, value: z.union([z.string(), z.number(), z.boolean()]) })),
  scopeSeparator: z._default(z.enum([' ', ',']), ' '),
  /** Fields of the answer that the product needs: kept in the integration's `metadata`. */
  keptFields: z._default(z.array(text), []),
  /** Error codes (the field `error`) that mean something else here than in RFC 6749 §5.2. */
  errorMeanings: z._default(z.record(z.string(), failureMeaning), {}),
  /** Looked at before `errorMeanings`; the first that fits decides. */
  errorRules: z._default(z.array(errorRule), []),

  /** RFC 6749 §3.1. This and what follows serve to connect an account by the command line; refreshes need none of it. */
  authorizationEndpoint: z.optional(endpointTemplate),
  /** What `iss` in an authorization response must be, RFC 9207; by default anything of the authorization endpoint's origin. */
  issuer: z.optional(endpoint),
  /** Asked for when an account is connected. */
  scopes: z.optional(z.array(scope)),
  /** Sent with the authorization request, such as Google's `access_type` and `prompt`. */
  authorizationParameters: z.optional(
    parameters.check(
      z.refine((given) => !ownParameters.some((name) => Object.hasOwn(given, name)), {
        error: `must not hold ${ownParameters.join(', ')}: these are set by the request itself (scopes has a field of its own)`,
      }),
    ),
  ),
});

/** A provider as data: how its token endpoint is called and how its answers are read. */
export type ProviderDefinition = z.infer<typeof definition>;

/** A provider as somebody writes it down: what has a default may be left out. */
export type ProviderDescription = z.input<typeof definition>;

export type ErrorRule = z.infer<typeof errorRule>;

export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  /** Each begins with the field at fault and repeats no value, so that it can be logged. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads a description, and looks whether its parts fit each other. Never throws. */
export function parseDefinition(description: unknown, name = 'provider'): Parsed<ProviderDefinition> {
  const parsed = definition.safeParse(description);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => ({ ...issue, path: [name, ...issue.path] }));
    return { ok: false, problems: eachProblemOf({ issues }, name) };
  }
  const { data } = parsed;
  if (data.renewal !== 'none' && data.tokenEndpoint === undefined) {
    return { ok: false, problems: [`${name}.tokenEndpoint: needed unless renewal is "none"`] };
  }
  if (data.tokenPlacement === 'bearer' && inHeader.includes(data.clientAuthentication)) {
    return {
      ok: false,
      problems: [
        `${name}.clientAuthentication: must not be ${data.clientAuthentication} where tokenPlacement is "bearer": both stand in the Authorization header`,
      ],
    };
  }
  const unknown = [data.tokenEndpoint ?? '', data.authorizationEndpoint ?? '']
    .flatMap((address) => [...address.matchAll(variableInAddress)].map((match) => match[1] as string))
    .find((variable) => !Object.hasOwn(data.variables, variable));
  if (unknown !== undefined) {
    return {
      ok: false,
      problems: [`${name}.variables.${unknown}: needed by an address that holds {${unknown}}`],
    };
  }
  return { ok: true, value: data };
}

/** The variables of an address, filled in by `lookUp`. */
export function fillIn(address: string, lookUp: (variable: string) => string): string {
  return address.replaceAll(variableInAddress, (_, name: string) => lookUp(name));
}

/** What is wrong with an address as an endpoint, after the name of what holds it; `null`: nothing. */
export function problemOfEndpoint(address: string, name: string): string | null {
  const parsed = endpoint.safeParse(address);
  return parsed.success ? null : problemsOf(parsed.error, name);
}

/** What is wrong with a text as one scope, after the name of what holds it; `null`: nothing. */
export function problemOfScope(given: string, name: string): string | null {
  const parsed = scope.safeParse(given);
  return parsed.success ? null : problemsOf(parsed.error, name);
}

function filled(address: string): string {
  return fillIn(address, () => 'x');
}

function isRegularExpression(pattern: string): boolean {
  try {
    new RegExp(`^(?:${pattern})$`);
    return true;
  } catch {
    return false;
  }
}

function hasNoCredentials({ username, password }: URL): boolean {
  return username === '' && password === '';
}

function isLoopback(address: string): boolean {
  if (!URL.canParse(filled(address))) return false;
  const { hostname } = new URL(filled(address));
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
