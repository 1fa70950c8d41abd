/** What an answer is about; `refused`: the grant is refused and may yet come back. */
export type AnswerKind = 'success' | 'dead_grant' | 'refused' | 'rate_limit' | 'operator_fault' | 'transient';

/** An answer of a token endpoint as it comes over the wire, and what the verdict on it must hold. */
export interface KnownAnswer {
  readonly kind: AnswerKind;
  /**
   * Where it stands: `doc:` the vendor's documentation, `gh:` public source, `iss:` a public issue, `2nd:` a third
   * party; `shape:` nobody shows one, and this is what the named document, or the vendor's in words, demands. The source
   * vouches for status, fields and codes; ids, and texts that no rule looks at, are made up.
   */
  readonly source: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly expected: Readonly<Record<string, unknown>>;
}

/** By the provider's own clock, which moments in answers are compared with. */
export const answeredAt = 'Wed, 25 Nov 2026 10:00:00 GMT';

const rfc6749 = 'shape: RFC 6749 §5.2';
const json = { 'content-type': 'application/json; charset=utf-8', date: answeredAt };
const html = { 'content-type': 'text/html; charset=utf-8', date: answeredAt };

type Body = Readonly<Record<string, unknown>> | string;
type Headers = Readonly<Record<string, string>>;

const text = (body: Body) => (typeof body === 'string' ? body : JSON.stringify(body));

interface Tokens {
  readonly accessToken?: string;
  readonly expiresInSeconds: number;
  /** By default none came along. */
  readonly refreshToken?: string;
  readonly refreshTokenExpiresInSeconds?: number;
  readonly scopes?: readonly string[];
  readonly kept?: Readonly<Record<string, string>>;
  readonly remarks?: readonly string[];
}

function success(source: string, body: Body, tokens: Tokens, headers: Headers = json): KnownAnswer {
  return {
    kind: 'success',
    source,
    status: 200,
    headers,
    body: text(body),
    expected: {
      kind: 'refreshed',
      tokens: {
        accessToken: 'new-access-token',
        refreshToken: null,
        refreshTokenExpiresInSeconds: null,
        scopes: null,
        kept: {},
        remarks: [],
        ...tokens,
      },
    },
  };
}

function dead(source: string, status: number, body: Body, code = 'invalid_grant'): KnownAnswer {
  return {
    kind: 'dead_grant',
    source,
    status,
    headers: json,
    body: text(body),
    expected: { kind: 'permanent', code, invalidRefreshToken: true, httpStatus: status },
  };
}

function refused(
  source: string,
  status: number,
  body: Body,
  code: string,
  headers: Headers = json,
): KnownAnswer {
  return {
    kind: 'refused',
    source,
    status,
    headers,
    body: text(body),
    expected: { kind: 'permanent', code, invalidRefreshToken: false, httpStatus: status },
  };
}

function fault(
  source: string,
  status: number,
  body: Body,
  code = 'invalid_client',
  headers: Headers = {},
): KnownAnswer {
  return {
    kind: 'operator_fault',
    source,
    status,
    headers: { ...json, ...headers },
    body: text(body),
    expected: { kind: 'operator', code, httpStatus: status },
  };
}

function limited(
  source: string,
  body: Body,
  headers: Headers,
  retryAfterSeconds: number | null,
  status = 429,
): KnownAnswer {
  return {
    kind: 'rate_limit',
    source,
    status,
    headers: { ...(typeof body === 'string' ? html : json), ...headers },
    body: text(body),
    expected: { kind: 'transient', code: 'rate_limited', retryAfterSeconds, httpStatus: status },
  };
}

function passing(
  source: string,
  status: number,
  body: Body,
  code = `http_${status}`,
  retryAfterSeconds: number | null = null,
  headers: Headers = {},
): KnownAnswer {
  return {
    kind: 'transient',
    source,
    status,
    headers: { ...(typeof body === 'string' ? html : json), ...headers },
    body: text(body),
    expected: { kind: 'transient', code, retryAfterSeconds, httpStatus: status },
  };
}

/** What most of them say of a grant that ended. */
const invalidGrant = (description?: string) => ({
  error: 'invalid_grant',
  ...(description !== undefined && { error_description: description }),
});
/** What most of them say of a wrong secret. */
const invalidClient = (status = 401) =>
  fault(rfc6749, status, { error: 'invalid_client', error_description: 'Client authentication failed' });
/** RFC 6585 §4, with the seconds of RFC 9110 §10.2.3. */
const retryLater = (source = 'shape: RFC 6585 §4', seconds = 30) =>
  limited(source, { error: 'too_many_requests' }, { 'retry-after': String(seconds) }, seconds);
/** What stands in front of every one of them when it is away. */
const gatewayPage = '<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>';
const unavailable = (status = 503) => passing('shape: RFC 9110 §15.6', status, gatewayPage);

const tokens = (more: Readonly<Record<string, unknown>> = {}) => ({
  access_token: 'new-access-token',
  token_type: 'Bearer',
  ...more,
});
const rotated = (more: Readonly<Record<string, unknown>> = {}) =>
  tokens({ refresh_token: 'new-refresh-token', ...more });

const days = 86_400;

/** `exp` three hours after the answer; the signature is none, and nobody looks at it. */
const jwtForThreeHours = [
  { alg: 'HS256', typ: 'JWT' },
  { iat: Date.parse(answeredAt) / 1000, exp: Date.parse(answeredAt) / 1000 + 3 * 3600 },
]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .concat('c2lnbmF0dXJl')
  .join('.');

/** Of Microsoft's shape: doc:learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow. */
const aadsts = (error: string, number: number, more: Readonly<Record<string, unknown>> = {}) => ({
  error,
  error_description: `AADSTS${number}: A text that Microsoft may change at any time. Trace ID: 255d1aef-8c98-452f-ac51-23d051240864`,
  error_codes: [number],
  timestamp: '2026-11-25 10:00:00Z',
  trace_id: '255d1aef-8c98-452f-ac51-23d051240864',
  correlation_id: 'fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7',
  ...more,
});
const entraCodes = 'gh:MicrosoftDocs/entra-docs docs/identity-platform/reference-error-codes.md';

/** doc:developers.facebook.com/docs/graph-api/guides/error-handling */
const graphError = (code: number, message: string, more: Readonly<Record<string, unknown>> = {}) => ({
  error: { message, type: 'OAuthException', code, fbtrace_id: 'AXdw3q2VvX9nJ4wQ', ...more },
});
/** Which error stands beside a message is not shown. */
const zoomMessages = 'doc:developers.zoom.us/docs/integrations/oauth-error-messages';
const graphErrors = 'doc:developers.facebook.com/docs/graph-api/guides/error-handling';
/** What the three of Meta have in common. */
const ofMeta: readonly KnownAnswer[] = [
  dead(
    graphErrors,
    400,
    graphError(190, 'Error validating access token: Session has expired', { error_subcode: 463 }),
    'refresh_token_expired',
  ),
  dead(
    graphErrors,
    400,
    graphError(190, 'The user has removed the app', { error_subcode: 458 }),
    'access_revoked',
  ),
  dead(
    graphErrors,
    400,
    graphError(190, 'The password has changed', { error_subcode: 460 }),
    'password_changed',
  ),
  dead(graphErrors, 400, graphError(190, 'Invalid OAuth access token', { error_subcode: 467 })),
  dead(graphErrors, 401, graphError(190, 'Cannot parse access token')),
  refused(
    graphErrors,
    400,
    graphError(190, 'The user is enrolled in a checkpoint', { error_subcode: 459 }),
    'account_verification_required',
  ),
  refused(graphErrors, 403, graphError(10, 'Application does not have permission'), 'permission_missing'),
  refused(graphErrors, 403, graphError(230, 'Permissions disallow message to user'), 'permission_missing'),
  // Meta's limits come as 400 and 403, never as 429.
  limited(graphErrors, graphError(4, 'Application request limit reached'), {}, null, 403),
  limited(graphErrors, graphError(17, 'User request limit reached'), {}, null, 400),
  limited(graphErrors, graphError(32, 'Page request limit reached'), {}, null, 403),
  limited(graphErrors, graphError(613, 'Calls to this api have exceeded the rate limit.'), {}, null, 400),
  fault(
    'shape: as error-handling; the text is from memory',
    400,
    graphError(1, 'Error validating client secret.'),
    'client_secret_invalid',
  ),
  fault(
    'shape: as error-handling; the text is from memory',
    400,
    graphError(101, 'Error validating application. Cannot get application info due to a system error.'),
  ),
  fault('shape: as error-handling', 400, graphError(101, 'Invalid API key')),
  fault(graphErrors, 400, graphError(3, 'Unknown method'), 'unauthorized_client'),
  passing(
    graphErrors,
    400,
    graphError(2, 'An unexpected error has occurred. Please retry your request later.', {
      is_transient: true,
    }),
    'temporarily_unavailable',
  ),
  passing(graphErrors, 400, graphError(1, 'An unknown error occurred'), 'temporarily_unavailable'),
  passing(
    graphErrors,
    403,
    graphError(368, 'temporarily blocked for policies violations'),
    'temporarily_unavailable',
  ),
  passing(graphErrors, 500, graphError(1, 'An unknown error occurred'), 'temporarily_unavailable'),
];

const salesforceFlow =
  'doc:help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_refresh_token_flow.htm';
const ofSalesforce: readonly KnownAnswer[] = [
  success(
    salesforceFlow,
    {
      id: 'https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P',
      issued_at: '1795600800000',
      instance_url: 'https://acme.my.salesforce.com/',
      signature: 'CMJ4l+CCaPQiKjoOEwEig9H4wqhpuLSk4J2urAe+fVg=',
      scope: 'refresh_token api',
      ...tokens(),
    },
    {
      expiresInSeconds: 3600,
      scopes: ['refresh_token', 'api'],
      kept: { instance_url: 'https://acme.my.salesforce.com/' },
    },
  ),
  success(
    'doc:developer.salesforce.com/docs/platform/isvforce/guide/secure-code-ac-eca',
    rotated({ instance_url: 'https://acme.my.salesforce.com', issued_at: '1795600800000' }),
    {
      expiresInSeconds: 3600,
      refreshToken: 'new-refresh-token',
      kept: { instance_url: 'https://acme.my.salesforce.com' },
    },
  ),
  dead(salesforceFlow, 400, invalidGrant('expired access/refresh token')),
  dead(
    '2nd: nango.dev/blog/salesforce-oauth-refresh-token-invalid-grant',
    400,
    invalidGrant('token validity expired'),
  ),
  refused(
    salesforceFlow,
    400,
    { error: 'inactive_user', error_description: 'user is inactive' },
    'account_disabled',
  ),
  refused(
    salesforceFlow,
    400,
    { error: 'inactive_org', error_description: 'organization is inactive' },
    'account_suspended',
  ),
  refused(
    'shape: from memory',
    400,
    { error: 'OAUTH_APP_BLOCKED', error_description: 'this app is blocked by admin' },
    'app_blocked',
  ),
  fault(
    salesforceFlow,
    400,
    { error: 'invalid_client_id', error_description: 'client identifier invalid' },
    'client_unknown',
  ),
  refused('shape: from memory', 400, invalidGrant('authentication failure'), 'grant_refused'),
  fault(salesforceFlow, 400, { error: 'invalid_client', error_description: 'invalid client credentials' }),
  // An allowlist that our address is not on must disconnect nobody.
  fault('shape: from memory', 400, invalidGrant('ip restricted'), 'ip_not_allowed'),
  limited(
    '2nd: nango.dev/blog/salesforce-oauth-refresh-token-invalid-grant',
    { error: 'rate_limit_exceeded', error_description: 'too many requests' },
    {},
    null,
    403,
  ),
  limited('shape: from memory', invalidGrant('login rate exceeded'), {}, null, 400),
  passing(
    'shape: from memory',
    400,
    { error: 'unknown_error', error_description: 'retry your request' },
    'temporarily_unavailable',
  ),
  passing('shape: org maintenance', 503, '<html><body>We are down for maintenance.</body></html>'),
];

const refreshingGitHub =
  'gh:github/docs content/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens.md';
const troubleshootingGitHub =
  'gh:github/docs content/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors.md';

/** Of every provider of the catalogue that renews anything. */
export const answers: Readonly<Record<string, readonly KnownAnswer[]>> = {
  google: [
    success(
      'doc:developers.google.com/identity/protocols/oauth2/web-server#offline',
      tokens({
        expires_in: 3920,
        scope:
          'https://www.googleapis.com/auth/drive.metadata.readonly https://www.googleapis.com/auth/calendar.readonly',
      }),
      {
        expiresInSeconds: 3920,
        scopes: [
          'https://www.googleapis.com/auth/drive.metadata.readonly',
          'https://www.googleapis.com/auth/calendar.readonly',
        ],
      },
    ),
    success(
      'shape: time-limited access, developers.google.com/identity/protocols/oauth2',
      tokens({ expires_in: 3599, refresh_token_expires_in: 604_799 }),
      { expiresInSeconds: 3599, refreshTokenExpiresInSeconds: 604_799 },
    ),
    dead(
      'doc:developers.google.com/identity/protocols/oauth2',
      400,
      invalidGrant('Token has been expired or revoked.'),
    ),
    dead('doc:developers.google.com/identity/protocols/oauth2', 400, invalidGrant('Bad Request')),
    refused(
      'gh:googleapis/google-auth-library-python google/oauth2/_client.py',
      400,
      { ...invalidGrant('reauth related error (invalid_rapt)'), error_subtype: 'invalid_rapt' },
      'sign_in_required',
    ),
    refused('shape: from memory', 400, { error: 'admin_policy_enforced' }, 'admin_policy'),
    limited('shape: RFC 6585 §4', { error: 'rate_limit_exceeded' }, {}, null),
    fault('doc:developers.google.com/identity/protocols/oauth2', 401, {
      error: 'invalid_client',
      error_description: 'The OAuth client was not found.',
    }),
    fault(
      '2nd: measured',
      401,
      { error: 'deleted_client', error_description: 'The OAuth client was deleted.' },
      'client_disabled',
    ),
    fault(
      '2nd: a token of another client id',
      401,
      { error: 'unauthorized_client', error_description: 'Unauthorized' },
      'grant_of_another_client',
    ),
    passing(
      'gh:googleapis/google-auth-library-python google/oauth2/_client.py',
      400,
      { error: 'internal_failure' },
      'internal_failure',
    ),
    passing(
      'gh:googleapis/google-auth-library-python google/oauth2/_client.py',
      400,
      { error: 'unknown', error_description: 'internal_failure' },
      'temporarily_unavailable',
    ),
    passing(
      'iss:tomwalder/php-gds#19',
      200,
      '<html><head><title>Sorry...</title></head><body>... your computer or network may be sending automated queries</body></html>',
      'malformed_response',
    ),
    passing(
      'iss:tomwalder/php-gds#19',
      403,
      '<html><head><title>Sorry...</title></head><body>automated queries</body></html>',
    ),
  ],
  microsoft: [
    success(
      'doc:learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow',
      rotated({
        scope: 'https://graph.microsoft.com/mail.read',
        expires_in: 3599,
        ext_expires_in: 3599,
        id_token: 'eyJ0eXAi',
      }),
      {
        expiresInSeconds: 3599,
        refreshToken: 'new-refresh-token',
        scopes: ['https://graph.microsoft.com/mail.read'],
      },
    ),
    ...(
      [
        [70000, 'invalid_grant'],
        [70008, 'refresh_token_inactive'],
        [700082, 'refresh_token_inactive'],
        [700084, 'refresh_token_expired'],
        [50173, 'session_revoked'],
        [50089, 'session_revoked'],
        [50132, 'password_changed'],
        [50133, 'password_changed'],
        [70043, 'sign_in_required'],
        [50057, 'account_disabled'],
        [50034, 'account_not_found'],
        [51004, 'account_not_found'],
      ] as const
    ).map(([number, code]) => dead(entraCodes, 400, aadsts('invalid_grant', number), code)),
    dead(
      'iss:AzureAD/microsoft-authentication-library-for-android#558',
      400,
      aadsts('invalid_grant', 9_002_313),
      'refresh_token_malformed',
    ),
    ...(
      [
        [50076, 'mfa_required'],
        [50079, 'mfa_required'],
        [50074, 'mfa_required'],
        [50072, 'mfa_required'],
        [50078, 'mfa_required'],
        [53000, 'conditional_access'],
        [53001, 'conditional_access'],
        [53002, 'conditional_access'],
        [53003, 'conditional_access'],
        [50005, 'conditional_access'],
        [50131, 'conditional_access'],
        [530_032, 'conditional_access'],
        [50097, 'conditional_access'],
        [50158, 'conditional_access'],
        [65001, 'consent_required'],
        [65004, 'consent_required'],
        [90094, 'consent_required'],
        [90008, 'consent_required'],
        [50105, 'not_assigned'],
        [50020, 'account_not_found'],
        [50055, 'sign_in_required'],
        [50144, 'sign_in_required'],
      ] as const
    ).map(([number, code]) => refused(entraCodes, 400, aadsts('invalid_grant', number), code)),
    refused(
      entraCodes,
      400,
      aadsts('interaction_required', 50076, { suberror: 'basic_action' }),
      'mfa_required',
    ),
    refused(
      'gh:AzureAD/microsoft-authentication-library-for-python',
      400,
      aadsts('interaction_required', 1),
      'interaction_required',
    ),
    refused(
      'gh:AzureAD/microsoft-authentication-library-for-python',
      400,
      aadsts('invalid_grant', 1, { suberror: 'device_authentication_failed' }),
      'conditional_access',
    ),
    refused(
      'gh:AzureAD/microsoft-authentication-library-for-python',
      400,
      aadsts('invalid_grant', 1, { suberror: 'consent_required' }),
      'consent_required',
    ),
    refused(
      'gh:AzureAD/microsoft-authentication-library-for-python',
      400,
      aadsts('invalid_grant', 1, { suberror: 'user_password_expired' }),
      'interaction_required',
    ),
    fault(
      'gh:AzureAD/microsoft-authentication-library-for-python',
      400,
      aadsts('invalid_grant', 1, { suberror: 'client_mismatch' }),
      'grant_of_another_client',
    ),
    // One tenant removed the app: its users are told, and nobody else.
    refused(entraCodes, 400, aadsts('unauthorized_client', 700_016), 'app_not_installed'),
    limited(
      'doc:learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes',
      aadsts('temporarily_unavailable', 90055),
      { 'retry-after': '120' },
      120,
    ),
    limited(entraCodes, aadsts('invalid_grant', 50196), {}, null, 400),
    ...(
      [
        [401, 'invalid_client', 7_000_215, 'client_secret_invalid'],
        [401, 'invalid_client', 7_000_222, 'client_secret_expired'],
        [401, 'invalid_client', 7_000_218, 'invalid_client'],
        [401, 'invalid_client', 70002, 'invalid_client'],
        [401, 'invalid_client', 700_025, 'invalid_client'],
        [400, 'unauthorized_client', 7_000_112, 'client_disabled'],
        [400, 'unauthorized_client', 70001, 'client_disabled'],
        [400, 'invalid_request', 50194, 'tenant_mismatch'],
        [400, 'invalid_request', 9_002_332, 'tenant_mismatch'],
        [400, 'invalid_request', 90002, 'tenant_unknown'],
        [400, 'invalid_request', 900_144, 'invalid_request'],
        [400, 'invalid_request', 90014, 'invalid_request'],
        [400, 'invalid_scope', 70011, 'invalid_scope'],
        [400, 'invalid_scope', 28002, 'invalid_scope'],
        [400, 'invalid_resource', 500_011, 'invalid_target'],
        [400, 'invalid_resource', 650_057, 'invalid_target'],
        [400, 'invalid_grant', 50001, 'invalid_target'],
        [400, 'invalid_grant', 650_052, 'invalid_target'],
      ] as const
    ).map(([status, error, number, code]) => fault(entraCodes, status, aadsts(error, number), code)),
    ...[50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091, 70012, 50166, 40010].map((number) =>
      passing(entraCodes, 400, aadsts('invalid_grant', number), 'temporarily_unavailable'),
    ),
    ...[80001, 80002, 80005, 80007].map((number) =>
      passing(entraCodes, 400, aadsts('invalid_grant', number), 'sign_in_unavailable'),
    ),
    passing(rfc6749, 503, { error: 'temporarily_unavailable' }, 'http_503', 10, { 'retry-after': '10' }),
  ],
  slack: [
    success(
      'doc:docs.slack.dev/authentication/using-token-rotation',
      {
        ok: true,
        ...rotated({
          expires_in: 43_200,
          token_type: 'bot',
          scope: 'commands,incoming-webhook',
          bot_user_id: 'U0KRQLJ9H',
        }),
        app_id: 'A0KRD7HC3',
        team: { name: 'Slack Pickleball Team', id: 'T9TK3CUKW' },
        enterprise: null,
      },
      {
        expiresInSeconds: 43_200,
        refreshToken: 'new-refresh-token',
        scopes: ['commands', 'incoming-webhook'],
      },
    ),
    dead('doc:api.slack.com/methods/oauth.v2.access', 200, { ok: false, error: 'invalid_refresh_token' }),
    dead(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'token_revoked' },
      'access_revoked',
    ),
    dead(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'account_inactive' },
      'account_disabled',
    ),
    refused(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'access_denied' },
      'access_denied',
    ),
    limited(
      'doc:docs.slack.dev/apis/web-api/rate-limits',
      { ok: false, error: 'ratelimited' },
      { 'retry-after': '30' },
      30,
    ),
    limited('doc:api.slack.com/methods/oauth.v2.access', { ok: false, error: 'ratelimited' }, {}, null, 200),
    fault(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'bad_client_secret' },
      'client_secret_invalid',
    ),
    fault(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'invalid_client_id' },
      'client_unknown',
    ),
    fault(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'invalid_grant_type' },
      'unsupported_grant_type',
    ),
    fault(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'invalid_arguments' },
      'invalid_request',
    ),
    ...['internal_error', 'fatal_error'].map((error) =>
      passing('doc:api.slack.com/methods/oauth.v2.access', 200, { ok: false, error }, 'server_error'),
    ),
    ...['request_timeout', 'service_unavailable', 'accesslimited', 'ekm_access_denied'].map((error) =>
      passing(
        'doc:api.slack.com/methods/oauth.v2.access',
        200,
        { ok: false, error },
        'temporarily_unavailable',
      ),
    ),
    passing(
      'doc:api.slack.com/methods/oauth.v2.access',
      200,
      { ok: false, error: 'team_added_to_org' },
      'account_moving',
    ),
    passing('shape: a code that is not known', 200, { ok: false, error: 'something_new' }, 'unknown_answer'),
  ],
  notion: [
    success(
      'doc:developers.notion.com/reference/refresh-a-token',
      rotated({
        token_type: 'bearer',
        bot_id: '3c90c3cc-0d44-4b50-8888-8dd25736052a',
        workspace_icon: null,
        workspace_name: 'Acme',
        workspace_id: '3c90c3cc-0d44-4b50-8888-8dd25736052a',
        owner: { type: 'workspace' },
        duplicated_template_id: null,
        request_id: '3c90c3cc-0d44-4b50-8888-8dd25736052a',
      }),
      { expiresInSeconds: 3600, refreshToken: 'new-refresh-token' },
    ),
    dead(
      '2nd: nango.dev/blog/notion-oauth-refresh-token-invalid-grant',
      400,
      invalidGrant('Token has been expired or revoked.'),
    ),
    limited(
      'doc:developers.notion.com/reference/status-codes',
      { object: 'error', status: 429, code: 'rate_limited', message: 'You have been rate limited.' },
      { 'retry-after': '5' },
      5,
    ),
    invalidClient(),
    passing(
      'doc:developers.notion.com/reference/status-codes',
      409,
      { object: 'error', status: 409, code: 'conflict_error', message: 'Conflict occurred while saving.' },
      'conflict',
    ),
    unavailable(),
  ],
  hubspot: [
    success(
      'doc:developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide',
      rotated({
        token_type: 'bearer',
        expires_in: 1800,
        hub_id: 1_234_567,
        scopes: ['oauth', 'crm.objects.contacts.read'],
      }),
      {
        expiresInSeconds: 1800,
        refreshToken: 'new-refresh-token',
        scopes: ['oauth', 'crm.objects.contacts.read'],
      },
    ),
    dead('2nd: nango.dev/blog/hubspot-oauth-bad-refresh-token', 400, {
      status: 'BAD_REFRESH_TOKEN',
      message: 'missing or invalid refresh token',
      error: 'invalid_grant',
      error_description: 'missing or invalid refresh token',
      correlationId: '8d9c1b3e-2f7a-4a55-9f0e-0c8f6b1d2e3f',
    }),
    dead('shape: the older dialect alone', 400, {
      status: 'BAD_REFRESH_TOKEN',
      message: 'missing or invalid refresh token',
    }),
    dead(
      'iss:PostHog/posthog#72609',
      403,
      { status: 'BAD_HUB', error: 'access_denied', message: 'hub is deleted' },
      'access_revoked',
    ),
    limited(
      'iss:PostHog/posthog#72609',
      { status: 'error', errorType: 'RATE_LIMIT', message: 'You have reached your secondly limit.' },
      {},
      null,
    ),
    fault(
      '2nd: measured',
      400,
      { status: 'BAD_CLIENT_SECRET', message: 'client secret is wrong', error: 'invalid_client' },
      'client_secret_invalid',
    ),
    fault(
      'shape: from memory',
      400,
      { status: 'BAD_CLIENT_ID', message: 'missing or invalid client id' },
      'client_unknown',
    ),
    fault(
      'doc:developers.hubspot.com/docs/api-reference/auth-oauth-v3/guide',
      400,
      { status: 'error', message: 'authentication credentials are missing' },
      'invalid_request',
    ),
    passing(
      'shape: from memory',
      477,
      { status: 'error', message: 'migration in progress' },
      'account_moving',
      3600,
      { 'retry-after': '21600' },
    ),
    unavailable(502),
  ],
  salesforce: ofSalesforce,
  'salesforce-sandbox': ofSalesforce,
  github: [
    success(
      refreshingGitHub,
      rotated({ expires_in: 28_800, refresh_token_expires_in: 15_897_600, scope: '', token_type: 'bearer' }),
      {
        expiresInSeconds: 28_800,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 15_897_600,
      },
    ),
    success(
      'shape: form-encoded, to who does not ask for JSON',
      'access_token=new-access-token&expires_in=28800&refresh_token=new-refresh-token&refresh_token_expires_in=15897600&scope=&token_type=bearer',
      {
        expiresInSeconds: 28_800,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 15_897_600,
      },
      { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8', date: answeredAt },
    ),
    dead('gh:coder/coder coderd/externalauth/externalauth.go', 200, {
      error: 'bad_refresh_token',
      error_description: 'The refresh token passed is incorrect or expired.',
      error_uri: 'https://docs.github.com',
    }),
    refused(
      troubleshootingGitHub,
      200,
      { error: 'unverified_user_email', error_description: 'The user must have a verified primary email.' },
      'email_unverified',
    ),
    limited(
      'shape: docs.github.com, rate limits for the REST API',
      { message: 'API rate limit exceeded' },
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Date.parse(answeredAt) / 1000 + 90) },
      90,
    ),
    fault(troubleshootingGitHub, 200, {
      error: 'incorrect_client_credentials',
      error_description: 'The client_id and/or client_secret passed are incorrect.',
      error_uri: 'https://docs.github.com',
    }),
    fault(
      troubleshootingGitHub,
      200,
      {
        error: 'redirect_uri_mismatch',
        error_description: 'The redirect_uri MUST match the registered callback URL.',
      },
      'redirect_uri_mismatch',
    ),
    fault('shape: from memory', 200, { error: 'application_suspended' }, 'client_disabled'),
    passing(
      'shape: the page with the unicorn',
      502,
      '<!DOCTYPE html><title>Unicorn! &middot; GitHub</title>',
    ),
  ],
  gitlab: [
    success(
      'gh:gitlabhq/gitlabhq doc/api/oauth2.md',
      rotated({ token_type: 'bearer', expires_in: 7200, created_at: 1_795_600_800 }),
      { expiresInSeconds: 7200, refreshToken: 'new-refresh-token' },
    ),
    dead(
      'shape: doorkeeper',
      400,
      invalidGrant(
        'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
      ),
    ),
    dead('shape: doorkeeper of older versions', 401, invalidGrant()),
    limited(
      'shape: from memory',
      'Retry later\n',
      { 'content-type': 'text/plain', 'retry-after': '60', 'ratelimit-remaining': '0' },
      60,
    ),
    invalidClient(),
    unavailable(502),
  ],
  bitbucket: [
    success(
      '2nd: docs.unified.to/skills/bitbucket-oauth-app',
      rotated({
        expires_in: 7200,
        scopes: 'account repository',
        state: 'refresh_token',
        token_type: 'bearer',
      }),
      { expiresInSeconds: 7200, refreshToken: 'new-refresh-token', scopes: ['account', 'repository'] },
    ),
    dead(rfc6749, 400, invalidGrant('Invalid refresh_token')),
    retryLater(),
    fault(
      'iss:bitbucket.org/site/master/issues/16249',
      400,
      invalidGrant('Unsupported grant type: None'),
      'unsupported_grant_type',
    ),
    fault(
      rfc6749,
      400,
      { error: 'unauthorized_client', error_description: 'Invalid OAuth client credentials' },
      'unauthorized_client',
    ),
    unavailable(),
  ],
  atlassian: [
    success(
      'doc:developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens',
      rotated({ expires_in: 3600, scope: 'read:jira-work offline_access' }),
      {
        expiresInSeconds: 3600,
        refreshToken: 'new-refresh-token',
        scopes: ['read:jira-work', 'offline_access'],
      },
    ),
    dead(
      'doc:developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens',
      403,
      invalidGrant('Unknown or invalid refresh token.'),
    ),
    refused(
      '2nd: the code of a connector',
      403,
      { error: 'unauthorized_client', error_description: 'refresh_token is invalid' },
      'grant_refused',
    ),
    retryLater(),
    fault('shape: from memory', 401, { error: 'access_denied', error_description: 'Unauthorized' }),
    unavailable(),
  ],
  linear: [
    success(
      'doc:linear.app/developers/oauth-2-0-authentication',
      rotated({ expires_in: 86_399, scope: 'read write' }),
      { expiresInSeconds: 86_399, refreshToken: 'new-refresh-token', scopes: ['read', 'write'] },
    ),
    success(
      'doc:linear.app/developers/oauth-2-0-authentication (apps older than 2023-12-01)',
      rotated({ expires_in: 86_399, scope: ['read', 'write'] }),
      { expiresInSeconds: 86_399, refreshToken: 'new-refresh-token', scopes: ['read', 'write'] },
    ),
    dead(rfc6749, 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    fault(
      'doc:linear.app/developers/oauth-2-0-authentication',
      400,
      { error: 'Error', error_description: 'This grant type is not enabled for the application' },
      'unsupported_grant_type',
    ),
    unavailable(),
  ],
  figma: [
    success('gh:NangoHQ/nango packages/providers/providers.yaml', tokens({ expires_in: 7_776_000 }), {
      expiresInSeconds: 7_776_000,
    }),
    dead(rfc6749, 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    passing('shape: a status in the place of a code', 400, { status: 400, err: 'Bad request' }),
    unavailable(),
  ],
  asana: [
    success(
      'gh:Asana/developer-docs source/includes/markdown/_auth.html.md',
      tokens({
        token_type: 'bearer',
        expires_in: 3600,
        data: { id: '4673218951', name: 'Greg Sanchez', email: 'gsanchez@example.com' },
      }),
      { expiresInSeconds: 3600 },
    ),
    dead(rfc6749, 400, invalidGrant('The refresh token is invalid.')),
    limited(
      'gh:Asana/developer-docs source/includes/markdown/_rate-limits.html.md',
      { errors: [{ message: 'You have made too many requests recently. Please, be chill.' }] },
      { 'retry-after': '30' },
      30,
    ),
    invalidClient(),
    passing('gh:Asana/developer-docs', 500, {
      errors: [{ message: 'Server Error', phrase: '6 sad squid snuggle softly' }],
    }),
  ],
  monday: [
    success(
      'doc:developer.monday.com/apps/docs/migrating-to-the-new-oauth-flow',
      { ...rotated({ token_type: 'bearer', scope: 'me:read boards:read' }), access_token: jwtForThreeHours },
      {
        accessToken: jwtForThreeHours,
        expiresInSeconds: 3 * 3600,
        refreshToken: 'new-refresh-token',
        scopes: ['me:read', 'boards:read'],
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    dead('2nd: a connector', 401, {
      error: 'invalid_token',
      error_description: 'The refresh token is invalid',
    }),
    limited(
      'doc:developer.monday.com/apps/docs/migrating-to-the-new-oauth-flow',
      { error: 'too_many_requests' },
      { 'retry-after': '300' },
      300,
    ),
    invalidClient(),
    passing('doc:developer.monday.com/apps/docs/migrating-to-the-new-oauth-flow', 500, {
      error: 'server_error',
    }),
  ],
  airtable: [
    success(
      'doc:airtable.com/developers/web/api/oauth-reference',
      rotated({
        expires_in: 3600,
        refresh_expires_in: 5_184_000,
        scope: 'data.records:read schema.bases:read',
      }),
      {
        expiresInSeconds: 3600,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 5_184_000,
        scopes: ['data.records:read', 'schema.bases:read'],
      },
    ),
    dead('2nd: nango.dev/blog/airtable-oauth-refresh-token-invalid-grant', 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
  miro: [
    success(
      'doc:developers.miro.com/docs/getting-started-with-oauth',
      rotated({
        user_id: '3074457345821141000',
        team_id: '3074457345821141000',
        expires_in: 3599,
        token_type: 'bearer',
        scope: 'boards:read boards:write',
      }),
      { expiresInSeconds: 3599, refreshToken: 'new-refresh-token', scopes: ['boards:read', 'boards:write'] },
    ),
    dead(rfc6749, 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
  zoom: [
    success(
      'doc:developers.zoom.us/docs/integrations/oauth',
      rotated({
        token_type: 'bearer',
        expires_in: 3599,
        scope: 'user:read:user',
        api_url: 'https://api.zoom.us',
      }),
      { expiresInSeconds: 3599, refreshToken: 'new-refresh-token', scopes: ['user:read:user'] },
    ),
    dead('iss:devforum.zoom.us/t/10375', 400, { reason: 'Invalid Token!', error: 'invalid_request' }),
    dead('iss:devforum.zoom.us/t/10375', 401, { reason: 'Invalid Token!', error: 'invalid_request' }),
    dead(
      zoomMessages,
      400,
      { reason: 'The owner of the token does not exist.', error: 'invalid_request' },
      'account_not_found',
    ),
    dead(
      zoomMessages,
      400,
      { reason: 'The token has been revoked.', error: 'invalid_request' },
      'access_revoked',
    ),
    dead(zoomMessages, 400, {
      reason: 'The token ID is out of the token tolerance range.',
      error: 'invalid_request',
    }),
    dead(zoomMessages, 400, {
      reason: 'Can not find the authentication for the access token.',
      error: 'invalid_request',
    }),
    refused(
      zoomMessages,
      400,
      { reason: 'The token is disabled by admin.', error: 'invalid_request' },
      'app_blocked',
    ),
    refused(
      zoomMessages,
      400,
      { reason: 'Refresh token invalid.', error: 'invalid_request' },
      'consent_required',
    ),
    fault(
      zoomMessages,
      400,
      { reason: 'The app has been disabled', error: 'invalid_request' },
      'client_disabled',
    ),
    // The same name for a request that is malformed blames nobody's grant.
    fault(rfc6749, 400, { reason: 'Missing grant type', error: 'invalid_request' }, 'invalid_request'),
    fault('doc:developers.zoom.us/docs/integrations/oauth', 401, {
      reason: 'Invalid client_id or client_secret',
      error: 'invalid_client',
    }),
    retryLater(),
    passing(
      'iss:devforum.zoom.us/t/77706',
      400,
      { reason: 'Save Access token into Database error', error: 'invalid_request' },
      'conflict',
    ),
    unavailable(),
  ],
  discord: [
    success(
      'gh:discord/discord-api-docs developers/topics/oauth2.mdx',
      rotated({ expires_in: 604_800, scope: 'identify' }),
      { expiresInSeconds: 604_800, refreshToken: 'new-refresh-token', scopes: ['identify'] },
    ),
    dead(
      'gh:discord/discord-api-docs developers/topics/oauth2.mdx',
      400,
      invalidGrant('Invalid "refresh_token" in request.'),
    ),
    limited(
      'gh:discord/discord-api-docs developers/topics/rate-limits.mdx',
      { message: 'You are being rate limited.', retry_after: 64.57, global: false },
      { 'x-ratelimit-reset-after': '64.57', 'x-ratelimit-scope': 'user' },
      65,
    ),
    limited(
      'gh:discord/discord-api-docs developers/topics/rate-limits.mdx (the field alone)',
      { message: 'You are being rate limited.', retry_after: 1.25, global: true },
      {},
      2,
    ),
    invalidClient(),
    unavailable(502),
  ],
  calendly: [
    success(
      'doc:developer.calendly.com/refresh-token-rotation-guide',
      rotated({
        expires_in: 7200,
        created_at: 1_795_600_800,
        scope: 'default',
        owner: 'https://api.calendly.com/users/EBHAAFHDCAEQTSEZ',
        organization: 'https://api.calendly.com/organizations/EBHAAFHDCAEQTSEZ',
      }),
      { expiresInSeconds: 7200, refreshToken: 'new-refresh-token', scopes: ['default'] },
    ),
    dead(rfc6749, 400, invalidGrant('The provided authorization grant is invalid, expired, revoked')),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
  'cal-com': [
    success(
      'doc:cal.com/docs/api-reference/v2/oauth',
      rotated({ token_type: 'bearer', expires_in: 1800, scope: 'BOOKING_READ PROFILE_READ' }),
      { expiresInSeconds: 1800, refreshToken: 'new-refresh-token', scopes: ['BOOKING_READ', 'PROFILE_READ'] },
    ),
    dead(rfc6749, 400, invalidGrant('invalid_refresh_token')),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
  typeform: [
    success(
      'shape: doc:typeform.com/developers/get-started/applications',
      rotated({ expires_in: 604_800, token_type: 'bearer' }),
      { expiresInSeconds: 604_800, refreshToken: 'new-refresh-token' },
    ),
    success(
      'iss:Typeform/js-api-client#53 (a moment in the place of a span)',
      rotated({ expires_in: Date.parse(answeredAt) / 1000 + 604_800 }),
      { expiresInSeconds: 604_800, refreshToken: 'new-refresh-token', remarks: ['expires_in_is_a_moment'] },
    ),
    dead(rfc6749, 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
  docusign: [
    success(
      'doc:developers.docusign.com/platform/auth/reference/obtain-access-token',
      rotated({ expires_in: 28_800 }),
      { expiresInSeconds: 28_800, refreshToken: 'new-refresh-token' },
    ),
    dead('shape: from memory', 400, invalidGrant('expired_client_token')),
    retryLater(),
    invalidClient(400),
    unavailable(),
  ],
  ringcentral: [
    success(
      '2nd: community.ringcentral.com, disabling refresh_token',
      rotated({
        token_type: 'bearer',
        expires_in: 3599,
        refresh_token_expires_in: 604_799,
        scope: 'ReadCallLog',
        owner_id: '256440016',
      }),
      {
        expiresInSeconds: 3599,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 604_799,
        scopes: ['ReadCallLog'],
      },
    ),
    dead(rfc6749, 400, invalidGrant('Token not found')),
    retryLater(),
    invalidClient(400),
    unavailable(),
  ],
  dropbox: [
    success('doc:developers.dropbox.com/oauth-guide', tokens({ token_type: 'bearer', expires_in: 14_400 }), {
      expiresInSeconds: 14_400,
    }),
    dead(
      'gh:dropbox/dropbox-sdk-python dropbox/dropbox_client.py',
      400,
      invalidGrant('refresh token is invalid or revoked'),
    ),
    limited(
      'gh:dropbox/dropbox-sdk-python dropbox/dropbox_client.py',
      {
        error_summary: 'too_many_requests/..',
        error: { reason: { '.tag': 'too_many_requests' }, retry_after: 300 },
      },
      {},
      300,
    ),
    limited(
      'gh:dropbox/dropbox-sdk-python dropbox/dropbox_client.py',
      'too many requests',
      { 'retry-after': '15' },
      15,
    ),
    fault('iss:s-aska/dropbox-api-command#41', 400, {
      error: 'invalid_client: Invalid client_id or client_secret',
    }),
    invalidClient(),
    unavailable(500),
  ],
  box: [
    success(
      'gh:box/developer.box.com content/guides/authentication/tokens/refresh.md',
      rotated({ expires_in: 3600, restricted_to: [], token_type: 'bearer' }),
      { expiresInSeconds: 3600, refreshToken: 'new-refresh-token' },
    ),
    dead(
      'gh:box/developer.box.com content/guides/api-calls/permissions-and-errors/expiration.md',
      400,
      invalidGrant('Refresh token has expired'),
    ),
    dead(
      'gh:box/developer.box.com content/guides/api-calls/permissions-and-errors/common-errors.md',
      400,
      invalidGrant('Invalid refresh token'),
    ),
    refused(
      'gh:box/developer.box.com content/guides/api-calls/permissions-and-errors/common-errors.md',
      400,
      {
        error: 'unauthorized_client',
        error_description: 'This app is not authorized by the enterprise admin',
      },
      'app_blocked',
    ),
    limited(
      'gh:box/developer.box.com content/guides/api-calls/permissions-and-errors/rate-limits.md',
      { type: 'error', status: 429, code: 'rate_limit_exceeded', message: 'Request rate limit exceeded' },
      { 'retry-after': '30' },
      30,
    ),
    limited('shape: the same in the words of OAuth', { error: 'rate_limit_exceeded' }, {}, null, 400),
    fault('gh:box/developer.box.com content/guides/api-calls/permissions-and-errors/common-errors.md', 400, {
      error: 'invalid_client',
      error_description: 'The client credentials are invalid',
    }),
    passing('iss:support.box.com community post 360052599233', 409, '', 'conflict'),
    unavailable(),
  ],
  oidc: [
    success(
      'doc:openid.net/specs/openid-connect-core-1_0.html#RefreshTokenResponse',
      rotated({ expires_in: 3600, id_token: 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln' }),
      {
        expiresInSeconds: 3600,
        refreshToken: 'new-refresh-token',
      },
    ),
    success(
      'gh:googleapis/google-auth-library-python google/oauth2/_client.py (a number as a text)',
      tokens({ expires_in: '1800' }),
      {
        expiresInSeconds: 1800,
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    refused(
      'doc:openid.net/specs/openid-connect-core-1_0.html#AuthError',
      400,
      { error: 'login_required' },
      'login_required',
    ),
    refused(
      'doc:openid.net/specs/openid-connect-core-1_0.html#AuthError',
      400,
      { error: 'consent_required' },
      'consent_required',
    ),
    retryLater(),
    limited('doc:draft-ietf-httpapi-ratelimit-headers', '', { 'ratelimit-reset': '40' }, 40),
    fault(rfc6749, 401, { error: 'invalid_client' }, 'invalid_client', {
      'www-authenticate': 'Basic realm="acme"',
    }),
    fault('shape: RFC 8707 §2', 400, { error: 'invalid_target' }, 'invalid_target'),
    fault(rfc6749, 400, { error: 'unsupported_grant_type' }, 'unsupported_grant_type'),
    passing('iss:audiconnect/audi_connect_ha#840', 500, { error: 'server_error' }),
    passing('shape: a bare 401 is no word on a grant', 401, ''),
  ],
  okta: [
    success(
      'gh:okta/okta-developer-docs packages/@okta/vuepress-site/docs/guides/refresh-tokens/main/index.md',
      rotated({ expires_in: 3600, scope: 'offline_access openid' }),
      { expiresInSeconds: 3600, refreshToken: 'new-refresh-token', scopes: ['offline_access', 'openid'] },
    ),
    dead('gh:okta/okta-developer-docs', 400, invalidGrant('The refresh token is invalid or expired.')),
    limited(
      'shape: gh:okta/okta-developer-docs in words',
      { errorCode: 'E0000047', errorSummary: 'API call exceeded rate limit due to too many requests.' },
      {
        'x-rate-limit-limit': '600',
        'x-rate-limit-remaining': '0',
        'x-rate-limit-reset': String(Date.parse(answeredAt) / 1000 + 25),
      },
      25,
    ),
    fault('shape: from memory', 401, {
      errorCode: 'invalid_client',
      errorSummary: "Invalid value for 'client_id' parameter.",
    }),
    invalidClient(),
    unavailable(),
  ],
  auth0: [
    success(
      'gh:auth0/docs-v2 main/docs/secure/tokens/refresh-tokens',
      rotated({ expires_in: 86_400, scope: 'openid offline_access' }),
      {
        expiresInSeconds: 86_400,
        refreshToken: 'new-refresh-token',
        scopes: ['openid', 'offline_access'],
      },
    ),
    dead(
      'gh:auth0/docs-v2 main/docs/secure/tokens/refresh-tokens',
      403,
      invalidGrant('Unknown or invalid refresh token.'),
    ),
    dead(
      '2nd: community.auth0.com',
      403,
      invalidGrant("The refresh_token was generated for a user who doesn't exist anymore."),
      'account_not_found',
    ),
    refused(
      'gh:auth0/docs-v2',
      401,
      { error: 'unauthorized', error_description: 'user is blocked' },
      'access_denied',
    ),
    refused(
      'gh:auth0/docs-v2',
      403,
      { error: 'access_denied', error_description: 'denied by an action' },
      'access_denied',
    ),
    limited(
      'gh:auth0/docs-v2',
      { error: 'too_many_requests', error_description: 'Global limit has been reached' },
      {
        'x-ratelimit-limit': '100',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Date.parse(answeredAt) / 1000 + 12),
      },
      12,
    ),
    fault('shape: from memory', 401, { error: 'access_denied', error_description: 'Unauthorized' }),
    fault(
      'shape: from memory',
      403,
      {
        error: 'unauthorized_client',
        error_description: "Grant type 'refresh_token' not allowed for the client.",
      },
      'unauthorized_client',
    ),
    unavailable(),
  ],
  keycloak: [
    success(
      'doc:keycloak.org/securing-apps/oidc-layers',
      rotated({
        expires_in: 300,
        refresh_expires_in: 1800,
        'not-before-policy': 0,
        session_state: 'a6ad8e2c',
        scope: 'profile email',
      }),
      {
        expiresInSeconds: 300,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 1800,
        scopes: ['profile', 'email'],
      },
    ),
    success(
      'shape: an offline token, which never ends',
      rotated({ expires_in: 300, refresh_expires_in: 0 }),
      {
        expiresInSeconds: 300,
        refreshToken: 'new-refresh-token',
      },
    ),
    dead('shape: from memory', 400, invalidGrant('Token is not active')),
    dead('shape: from memory', 400, invalidGrant('Session not active')),
    dead('shape: from memory', 400, invalidGrant('Stale token')),
    retryLater(),
    fault('shape: from memory', 401, {
      error: 'invalid_client',
      error_description: 'Invalid client or Invalid client credentials',
    }),
    fault(
      'shape: from memory',
      401,
      { error: 'unauthorized_client', error_description: 'Invalid client or Invalid client credentials' },
      'unauthorized_client',
    ),
    unavailable(),
  ],
  zendesk: [
    success(
      'doc:developer.zendesk.com/documentation/api-basics/authentication/refresh-token',
      rotated({
        token_type: 'bearer',
        scope: 'read write',
        expires_in: 1800,
        refresh_token_expires_in: 2_592_000,
      }),
      {
        expiresInSeconds: 1800,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 30 * days,
        scopes: ['read', 'write'],
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    dead(rfc6749, 401, invalidGrant()),
    passing(
      'shape: an account that is gone',
      404,
      '<html><body>No help desk at this address</body></html>',
      'account_address_gone',
    ),
    ...[301, 302].map((status) =>
      passing('shape: an account that was renamed', status, '', 'account_address_gone', null, {
        location: 'https://www.zendesk.com/',
      }),
    ),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
  zoho: [
    success(
      'doc:zoho.com/accounts/protocol/oauth/web-apps/access-token-expiry.html',
      tokens({ expires_in: 3600, api_domain: 'https://www.zohoapis.eu', scope: 'ZohoCRM.modules.READ' }),
      {
        expiresInSeconds: 3600,
        scopes: ['ZohoCRM.modules.READ'],
        kept: { api_domain: 'https://www.zohoapis.eu' },
      },
    ),
    dead('2nd: of several connectors', 200, { error: 'invalid_code' }),
    limited(
      'doc:zoho.com/crm/developer/docs/api/v3/token-validity',
      {
        error_description: 'You have made too many requests continuously. Please try again after some time.',
        error: 'Access Denied',
        status: 'failure',
      },
      {},
      null,
      400,
    ),
    limited('2nd: the same with 200', { error: 'Access Denied', status: 'failure' }, {}, null, 200),
    fault('2nd: of several connectors', 200, { error: 'invalid_client' }),
    fault('shape: from memory', 200, { error: 'invalid_client_secret' }, 'client_secret_invalid'),
    passing('2nd: of several connectors', 200, { error: 'general_error' }, 'temporarily_unavailable'),
    unavailable(500),
  ],
  kit: [
    success(
      'doc:developers.kit.com/api-reference/oauth-refresh-token-flow',
      rotated({ expires_in: 7200, scope: 'public', created_at: 1_795_600_800 }),
      { expiresInSeconds: 7200, refreshToken: 'new-refresh-token', scopes: ['public'] },
    ),
    dead('shape: doorkeeper', 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    passing(
      'shape: a page of the old address',
      200,
      '<!DOCTYPE html><title>Kit</title>',
      'malformed_response',
    ),
    unavailable(),
  ],
  twitter: [
    success(
      'gh:xdevplatform/docs fundamentals/authentication/oauth-2-0/authorization-code.mdx',
      rotated({ token_type: 'bearer', expires_in: 7200, scope: 'users.read tweet.read offline.access' }),
      {
        expiresInSeconds: 7200,
        refreshToken: 'new-refresh-token',
        scopes: ['users.read', 'tweet.read', 'offline.access'],
      },
    ),
    dead('iss:trypostit/trypost#299', 400, {
      error: 'invalid_request',
      error_description: 'Value passed for the token was invalid.',
    }),
    dead(rfc6749, 400, invalidGrant()),
    fault(
      rfc6749,
      400,
      { error: 'invalid_request', error_description: 'Missing required parameter [client_id].' },
      'invalid_request',
    ),
    fault('2nd: verified live 2026-09-10', 401, {
      error: 'unauthorized_client',
      error_description: 'Missing valid authorization header',
    }),
    fault(
      '2nd: credits of the plan',
      402,
      { title: 'CreditsDepleted', detail: 'Your account has no credits.', status: 402 },
      'quota_exhausted',
    ),
    limited(
      'gh:xdevplatform/docs fundamentals/rate-limits.mdx',
      { title: 'Too Many Requests', detail: 'Too Many Requests', type: 'about:blank', status: 429 },
      {
        'x-rate-limit-limit': '900',
        'x-rate-limit-remaining': '0',
        'x-rate-limit-reset': String(Date.parse(answeredAt) / 1000 + 600),
      },
      600,
    ),
    passing(
      'gh:xdevplatform/docs x-ads-api',
      503,
      { errors: [{ code: 'SERVICE_UNAVAILABLE' }] },
      'http_503',
      20,
      { 'retry-after': '20' },
    ),
  ],
  linkedin: [
    success(
      'doc:learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens',
      rotated({ expires_in: 5_183_999, refresh_token_expires_in: 439_200 }),
      {
        expiresInSeconds: 5_183_999,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 439_200,
      },
    ),
    success(
      '2nd: what a code was exchanged for',
      tokens({ expires_in: 5_183_999, scope: 'email,openid,profile,w_member_social' }),
      { expiresInSeconds: 5_183_999, scopes: ['email', 'openid', 'profile', 'w_member_social'] },
    ),
    dead(rfc6749, 400, invalidGrant('The provided refresh token is invalid')),
    retryLater(),
    invalidClient(),
    fault(
      'shape: from memory',
      400,
      { error: 'invalid_request', error_description: 'A required parameter "client_id" is missing' },
      'invalid_request',
    ),
    unavailable(),
  ],
  facebook: [
    success(
      'doc:developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived',
      tokens({ token_type: 'bearer', expires_in: 5_183_944 }),
      {
        expiresInSeconds: 5_183_944,
      },
    ),
    success('shape: without a lifetime', tokens({ token_type: 'bearer' }), { expiresInSeconds: 60 * days }),
    ...ofMeta,
  ],
  instagram: [
    success(
      'doc:developers.facebook.com/docs/instagram-platform/reference/refresh_access_token',
      tokens({ token_type: 'bearer', expires_in: 5_183_944 }),
      {
        expiresInSeconds: 5_183_944,
      },
    ),
    ...ofMeta,
  ],
  threads: [
    success(
      'doc:developers.facebook.com/docs/threads/get-started/long-lived-tokens',
      tokens({ token_type: 'bearer', expires_in: 5_184_000 }),
      {
        expiresInSeconds: 60 * days,
      },
    ),
    ...ofMeta,
  ],
  tiktok: [
    success(
      'doc:developers.tiktok.com/doc/oauth-user-access-token-management',
      rotated({
        expires_in: 7200,
        open_id: 'afd97af1-b87b-48b9-ac98-410aghda5344',
        refresh_expires_in: 15_552_000,
        scope: 'user.info.basic,video.list',
      }),
      {
        expiresInSeconds: 7200,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 180 * days,
        scopes: ['user.info.basic', 'video.list'],
      },
    ),
    dead('doc:developers.tiktok.com/doc/oauth-error-handling', 400, {
      error: 'invalid_grant',
      error_description: 'Refresh token is invalid or expired.',
      log_id: '202611251000000102452400160A2F36',
    }),
    // Which status errors come with is not documented.
    dead('doc:developers.tiktok.com/doc/oauth-error-handling', 200, {
      error: 'invalid_grant',
      error_description: 'Refresh token is invalid or expired.',
      log_id: '202611251000000102452400160A2F36',
    }),
    refused(
      'doc:developers.tiktok.com/doc/oauth-error-handling',
      400,
      { error: 'access_denied', error_description: 'The resource owner denied the request', log_id: '1' },
      'access_denied',
    ),
    limited(
      'shape: from memory',
      { error: 'rate_limit_exceeded', error_description: 'The API rate limit was exceeded.', log_id: '1' },
      {},
      null,
      400,
    ),
    fault('doc:developers.tiktok.com/doc/oauth-error-handling', 400, {
      error: 'invalid_client',
      error_description: 'Client key or secret is incorrect.',
      log_id: '1',
    }),
    fault(
      'doc:developers.tiktok.com/doc/oauth-error-handling',
      400,
      { error: 'invalid_request', error_description: 'The request parameters are malformed.', log_id: '1' },
      'invalid_request',
    ),
    passing(
      'doc:developers.tiktok.com/doc/oauth-error-handling',
      400,
      { error: 'server_error', error_description: '', log_id: '1' },
      'server_error',
    ),
    unavailable(),
  ],
  'tiktok-business': [
    success(
      '2nd: of several connectors',
      {
        code: 0,
        message: 'OK',
        request_id: '2026112510000001015123456789',
        data: rotated({
          expires_in: 86_400,
          refresh_token_expires_in: 31_536_000,
          open_id: '_000',
          scope: 'user.info.basic,video.list',
        }),
      },
      {
        expiresInSeconds: 86_400,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 365 * days,
        scopes: ['user.info.basic', 'video.list'],
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    refused(
      'shape: from memory',
      200,
      { code: 40105, message: 'Access token is incorrect or has been revoked.', data: {} },
      'grant_refused',
    ),
    limited('shape: from memory', { code: 40100, message: 'Too many requests.', data: {} }, {}, null, 200),
    invalidClient(),
    passing(
      'shape: a number that is not known',
      200,
      { code: 50000, message: 'System error.', data: {} },
      'unknown_answer',
    ),
  ],
  pinterest: [
    success(
      'gh:pinterest/pinterest-python-generated-api-client docs/OauthApi.md',
      rotated({
        response_type: 'refresh_token',
        token_type: 'bearer',
        expires_in: 2_592_000,
        refresh_token_expires_in: 5_184_000,
        scope: 'boards:read pins:read',
      }),
      {
        expiresInSeconds: 30 * days,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 60 * days,
        scopes: ['boards:read', 'pins:read'],
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    dead('iss:pinterest/pinterest-python-sdk#114', 401, {
      code: 283,
      message: 'The authorization grant is invalid',
    }),
    fault(
      'iss:analog-nico/passport-pinterest#6',
      401,
      {
        status: 'failure',
        code: 283,
        data: 'Invalid Application ID',
        message: 'The authorization grant is invalid',
        endpoint_name: 'oauth_connect',
      },
      'client_unknown',
    ),
    limited(
      'shape: from memory',
      { code: 8, message: 'You have exceeded your rate limit. Try again later.' },
      {},
      null,
    ),
    fault('shape: from memory', 401, { code: 2, message: 'Authentication failed.' }),
    // Numbers that nobody has told us blame nobody's grant.
    passing('shape: from memory', 400, { code: 1, message: 'Invalid parameters' }),
    unavailable(),
  ],
  reddit: [
    success(
      'gh:reddit-archive/reddit r2/r2/controllers/oauth2.py',
      rotated({ expires_in: 86_400, scope: 'identity read', token_type: 'bearer' }),
      {
        expiresInSeconds: 86_400,
        refreshToken: 'new-refresh-token',
        scopes: ['identity', 'read'],
      },
    ),
    dead('iss:PostHog/posthog#70985', 400, { message: 'Bad Request', error: 400 }),
    dead('gh:reddit-archive/reddit r2/r2/controllers/oauth2.py', 400, { error: 'invalid_request' }),
    limited(
      'iss:PostHog/posthog#70985',
      '<!doctype html><html><body>whoa there, pardner!</body></html>',
      {},
      null,
    ),
    fault(
      'gh:reddit-archive/reddit r2/r2/controllers/oauth2.py',
      401,
      { message: 'Unauthorized', error: 401 },
      'invalid_client',
      { 'www-authenticate': 'Basic realm="reddit"' },
    ),
    passing('shape: a page of Reddit', 503, '<!doctype html><title>reddit is down</title>'),
  ],
  spotify: [
    success(
      'doc:developer.spotify.com/documentation/web-api/tutorials/refreshing-tokens',
      tokens({ expires_in: 3600, scope: 'user-read-private' }),
      {
        expiresInSeconds: 3600,
        scopes: ['user-read-private'],
      },
    ),
    success(
      'doc:developer.spotify.com/documentation/web-api/tutorials/refreshing-tokens',
      rotated({ expires_in: 3600 }),
      {
        expiresInSeconds: 3600,
        refreshToken: 'new-refresh-token',
      },
    ),
    dead(
      'doc:developer.spotify.com/blog/2026-06-18-refresh-token-expiration',
      400,
      invalidGrant('Refresh token revoked'),
    ),
    retryLater(),
    fault(rfc6749, 400, { error: 'invalid_client', error_description: 'Invalid client secret' }),
    unavailable(),
  ],
  twitch: [
    success(
      'doc:dev.twitch.tv/docs/authentication/refresh-tokens',
      rotated({
        expires_in: 14_124,
        scope: ['channel:read:subscriptions', 'user:read:email'],
        token_type: 'bearer',
      }),
      {
        expiresInSeconds: 14_124,
        refreshToken: 'new-refresh-token',
        scopes: ['channel:read:subscriptions', 'user:read:email'],
      },
    ),
    dead('doc:dev.twitch.tv/docs/authentication/refresh-tokens', 400, {
      error: 'Bad Request',
      status: 400,
      message: 'Invalid refresh token',
    }),
    dead('doc:dev.twitch.tv/docs/authentication/refresh-tokens', 401, {
      status: 401,
      message: 'invalid refresh token',
    }),
    limited('shape: RFC 6585 §4', { status: 429, message: 'too many requests' }, {}, null),
    fault(
      'shape: from memory',
      403,
      { status: 403, message: 'invalid client secret' },
      'client_secret_invalid',
    ),
    fault('shape: from memory', 400, { status: 400, message: 'invalid client' }, 'client_unknown'),
    fault(
      'iss:twitchdev/issues#943',
      400,
      { status: 400, message: 'missing client secret' },
      'client_secret_invalid',
    ),
    unavailable(),
  ],
  shopify: [
    success(
      'doc:shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens',
      rotated({ expires_in: 3600, refresh_token_expires_in: 7_776_000, scope: 'read_products,write_orders' }),
      {
        expiresInSeconds: 3600,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 90 * days,
        scopes: ['read_products', 'write_orders'],
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    dead('2nd: fixtures of several apps', 401, {
      error: 'invalid_request',
      error_description: 'This request requires an active refresh_token',
    }),
    ...[301, 302, 404].map((status) =>
      passing('2nd: a shop that was closed or renamed', status, '', 'account_address_gone'),
    ),
    retryLater('shape: from memory', 2),
    fault(
      'shape: from memory',
      400,
      { error: 'application_cannot_be_found', error_description: 'The application cannot be found.' },
      'client_unknown',
    ),
    fault(
      rfc6749,
      400,
      { error: 'invalid_request', error_description: 'Could not find parameter client_id' },
      'invalid_request',
    ),
    passing('shape: a shop that is locked', 423, { errors: 'Locked' }, 'temporarily_unavailable'),
    unavailable(),
  ],
  'stripe-app': [
    success(
      'doc:docs.stripe.com/stripe-apps/api-authentication/oauth',
      rotated({
        livemode: true,
        scope: 'stripe_apps',
        stripe_publishable_key: 'pk_live',
        stripe_user_id: 'acct_1',
        token_type: 'bearer',
      }),
      { expiresInSeconds: 3600, refreshToken: 'new-refresh-token', scopes: ['stripe_apps'] },
    ),
    dead(
      'doc:rubydoc.info/gems/stripe Stripe/OAuth/InvalidGrantError',
      400,
      invalidGrant('Refresh token does not exist: rt_1'),
    ),
    fault(
      'doc:rubydoc.info/gems/stripe Stripe/OAuth/InvalidGrantError',
      400,
      invalidGrant('This refresh token was issued in test mode, but a live mode key was used.'),
      'mode_mismatch',
    ),
    ...['This refresh token is of live mode.', 'This refresh token has another livemode than the key.'].map(
      (description) =>
        fault(
          'shape: as Stripe/OAuth/InvalidGrantError says in words',
          400,
          invalidGrant(description),
          'mode_mismatch',
        ),
    ),
    fault('doc:docs.stripe.com/error-codes', 401, {
      error: { message: 'Invalid API Key provided: sk_live_****', type: 'invalid_request_error' },
    }),
    limited(
      'doc:docs.stripe.com/rate-limits',
      { error: { code: 'rate_limit', message: 'Too many requests', type: 'invalid_request_error' } },
      {},
      null,
    ),
    passing('doc:docs.stripe.com/error-codes', 500, {
      error: { type: 'api_error', message: 'An unknown error occurred' },
    }),
  ],
  paypal: [
    success(
      'doc:developer.paypal.com/docs/log-in-with-paypal/integrate',
      tokens({ expires_in: 28_800, scope: 'openid email', nonce: '2026-11-25' }),
      {
        expiresInSeconds: 28_800,
        scopes: ['openid', 'email'],
      },
    ),
    dead(rfc6749, 400, invalidGrant('Invalid refresh token')),
    retryLater(),
    fault('shape: from memory', 401, {
      error: 'invalid_client',
      error_description: 'Client Authentication failed',
    }),
    unavailable(),
  ],
  square: [
    success(
      'gh:square/connect-api-specification api.json ObtainTokenResponse',
      rotated({
        token_type: 'bearer',
        expires_at: '2026-12-25T10:00:00Z',
        merchant_id: 'MLQTEMQ',
        short_lived: false,
      }),
      { expiresInSeconds: 30 * days, refreshToken: 'new-refresh-token' },
    ),
    success(
      'gh:square/connect-api-specification api.json ObtainTokenResponse (PKCE)',
      rotated({
        expires_at: '2026-11-26T10:00:00Z',
        short_lived: true,
        refresh_token_expires_at: '2027-02-23T10:00:00Z',
      }),
      {
        expiresInSeconds: 1 * days,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 90 * days,
      },
    ),
    dead(
      'gh:square/square-python-sdk src/square/types/error_code.py',
      401,
      {
        errors: [
          {
            category: 'AUTHENTICATION_ERROR',
            code: 'ACCESS_TOKEN_REVOKED',
            detail: 'The access token was revoked.',
          },
        ],
      },
      'access_revoked',
    ),
    dead('2nd: developer.squareup.com/forums/t/getting-error-while-renew-token/11056', 401, {
      message: 'Invalid refresh token',
      type: 'service.not_authorized',
    }),
    refused(
      '2nd: measured in the sandbox',
      401,
      {
        errors: [
          {
            category: 'AUTHENTICATION_ERROR',
            code: 'UNAUTHORIZED',
            detail: 'Token not found for client sq0idp-1',
          },
        ],
      },
      'grant_refused',
    ),
    refused(
      'shape: from memory',
      401,
      {
        errors: [
          {
            category: 'AUTHENTICATION_ERROR',
            code: 'UNAUTHORIZED',
            detail: 'This request could not be authorized.',
          },
        ],
      },
      'grant_refused',
    ),
    limited(
      'gh:square/square-python-sdk src/square/types/error_code.py',
      { errors: [{ category: 'RATE_LIMIT_ERROR', code: 'RATE_LIMITED', detail: 'Too many requests' }] },
      {},
      null,
    ),
    fault('shape: from memory', 401, { message: 'Not Authorized', type: 'service.not_authorized' }),
    fault(
      'gh:square/square-python-sdk src/square/types/error_code.py',
      401,
      {
        errors: [
          {
            category: 'AUTHENTICATION_ERROR',
            code: 'CLIENT_DISABLED',
            detail: 'The provided client has been disabled.',
          },
        ],
      },
      'client_disabled',
    ),
    passing('gh:square/square-python-sdk src/square/types/error_code.py', 500, {
      errors: [{ category: 'API_ERROR', code: 'INTERNAL_SERVER_ERROR' }],
    }),
  ],
  quickbooks: [
    success(
      'gh:intuit/oauth-jsclient README.md',
      rotated({
        token_type: 'bearer',
        expires_in: 3600,
        x_refresh_token_expires_in: 8_640_000,
        x_refresh_token_hard_expires_in: 157_680_000,
      }),
      { expiresInSeconds: 3600, refreshToken: 'new-refresh-token', refreshTokenExpiresInSeconds: 100 * days },
    ),
    success(
      'gh:intuit/oauth-jsclient CHANGELOG.md (five years are nearly over)',
      rotated({
        expires_in: 3600,
        x_refresh_token_expires_in: 8_640_000,
        x_refresh_token_hard_expires_in: 432_000,
      }),
      { expiresInSeconds: 3600, refreshToken: 'new-refresh-token', refreshTokenExpiresInSeconds: 5 * days },
    ),
    dead('iss:intuit/oauth-jsclient#128', 400, { error: 'invalid_grant' }),
    dead('shape: from memory', 400, invalidGrant('Token invalid')),
    refused('shape: from memory', 400, invalidGrant('Incorrect Token type or clientID'), 'grant_refused'),
    retryLater(),
    invalidClient(),
    fault(rfc6749, 400, { error: 'unauthorized_client' }, 'unauthorized_client'),
    unavailable(504),
  ],
  xero: [
    success(
      'gh:XeroAPI/xero-node README.md',
      rotated({ expires_in: 1800, id_token: 'eyJ', scope: 'openid offline_access' }),
      {
        expiresInSeconds: 1800,
        refreshToken: 'new-refresh-token',
        scopes: ['openid', 'offline_access'],
      },
    ),
    dead('iss:XeroAPI/xero-node#409', 400, { error: 'invalid_grant' }),
    retryLater('shape: from memory', 7),
    invalidClient(400),
    fault(rfc6749, 400, { error: 'unauthorized_client' }, 'unauthorized_client'),
    unavailable(),
  ],
  clover: [
    success(
      'doc:docs.clover.com/dev/docs/use-refresh-token-to-generate-new-expiring-token',
      {
        access_token: 'new-access-token',
        access_token_expiration: Date.parse(answeredAt) / 1000 + 1800,
        refresh_token: 'new-refresh-token',
        refresh_token_expiration: Date.parse(answeredAt) / 1000 + 365 * days,
      },
      {
        expiresInSeconds: 1800,
        refreshToken: 'new-refresh-token',
        refreshTokenExpiresInSeconds: 365 * days,
      },
    ),
    dead(rfc6749, 400, invalidGrant()),
    retryLater(),
    invalidClient(),
    passing('shape: a bare 401 is no word on a grant', 401, { message: '401 Unauthorized' }),
    unavailable(),
  ],
  wise: [
    success(
      'doc:docs.wise.com/api-docs/api-reference/user-tokens',
      rotated({ token_type: 'bearer', expires_in: 43_199, scope: 'transfers' }),
      {
        expiresInSeconds: 43_199,
        refreshToken: 'new-refresh-token',
        scopes: ['transfers'],
      },
    ),
    dead(rfc6749, 400, invalidGrant('Invalid refresh token')),
    retryLater(),
    invalidClient(),
    unavailable(),
  ],
};
