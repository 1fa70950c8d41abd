import type { ClientScheme, Dialect, RawRequest } from './dialect.ts';

/** Who a request says that it comes from. */
export interface Credentials {
  readonly scheme: ClientScheme;
  readonly id: string | null;
  readonly secret: string | null;
}

/** A request as the dialect reads it; `faults`: what in it is not as the provider documents. */
export interface ReadRequest {
  readonly credentials: Credentials | null;
  readonly token: string | null;
  readonly faults: readonly string[];
}

/** Reads a request to the dialect's token endpoint. Never throws: what cannot be read is a fault. */
export function readRequest(dialect: Dialect, request: RawRequest): ReadRequest {
  const faults: string[] = [];
  const { parameters, encoding } = readParameters(dialect, request, faults);
  const credentials = readCredentials(dialect, request, parameters, faults);
  const own = new Set([
    'grant_type',
    dialect.tokenParameter ?? 'refresh_token',
    ...(credentials?.scheme === 'parameters' || credentials?.scheme === 'public'
      ? [dialect.clientIdParameter ?? 'client_id', 'client_secret']
      : []),
  ]);
  if (encoding !== null) {
    const grantType = dialect.grantType ?? 'refresh_token';
    if (parameters.get('grant_type') !== grantType)
      faults.push(`grant_type is ${quoted(parameters.get('grant_type'))}, not "${grantType}"`);
    for (const [name, value] of parameters) {
      const pattern = dialect.optional?.[name];
      if (own.has(name)) continue;
      if (!pattern) faults.push(`the parameter ${name} is not known here`);
      else if (!pattern.test(value)) faults.push(`the parameter ${name} is ${quoted(value)}`);
    }
  }
  const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  const token = dialect.tokenAsBearer ? bearer : parameters.get(dialect.tokenParameter ?? 'refresh_token');
  if (token === undefined) faults.push('there is no token');
  return { credentials, token: token ?? null, faults };
}

function readParameters(
  dialect: Dialect,
  { target, headers, body }: RawRequest,
  faults: string[],
): { parameters: ReadonlyMap<string, string>; encoding: 'form' | 'json' | 'query' | null } {
  const query = target.includes('?') ? target.slice(target.indexOf('?') + 1) : '';
  const type = headers['content-type'] ?? '';
  const encoding = /^application\/x-www-form-urlencoded(;charset=utf-8)?$/i.test(type)
    ? 'form'
    : /^application\/json(;\s*charset=utf-8)?$/i.test(type)
      ? 'json'
      : type === '' && body === ''
        ? 'query'
        : null;
  if (encoding === null || !dialect.encodings.includes(encoding)) {
    faults.push(
      `the parameters come as ${type === '' ? 'query' : type}, not as ${dialect.encodings.join(' or ')}`,
    );
    return { parameters: new Map(), encoding: null };
  }
  if (encoding !== 'query' && query !== '') faults.push('there are parameters in the query');
  if (encoding === 'json') return { parameters: fromJson(body, faults), encoding };
  return { parameters: fromPairs(encoding === 'form' ? body : query, faults), encoding };
}

/** Form-encoding has one canonical form (URL Standard §5.2); anything else is one that some server misreads. */
function fromPairs(text: string, faults: string[]): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of text.split('&')) {
    const [[name, value] = ['', '']] = [...new URLSearchParams(pair)];
    if (new URLSearchParams({ [name]: value }).toString() !== pair)
      faults.push(`${name} is not form-encoded: ${pair}`);
    if (parameters.has(name)) faults.push(`${name} comes twice`);
    parameters.set(name, value);
  }
  return parameters;
}

function fromJson(text: string, faults: string[]): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // A fault like any other shape that is no object.
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    faults.push('the body is no JSON object');
    return parameters;
  }
  for (const [name, value] of Object.entries(document)) {
    if (typeof value === 'string') parameters.set(name, value);
    else faults.push(`${name} is no string`);
  }
  return parameters;
}

function readCredentials(
  dialect: Dialect,
  { headers }: RawRequest,
  parameters: ReadonlyMap<string, string>,
  faults: string[],
): Credentials | null {
  const found: Credentials[] = [];
  const id = parameters.get(dialect.clientIdParameter ?? 'client_id') ?? null;
  const secret = parameters.get('client_secret') ?? null;
  const basic = readBasic(headers.authorization ?? '');
  if (basic !== null) {
    if (dialect.client.includes('basic_key'))
      found.push({ scheme: 'basic_key', id: null, secret: basic.user });
    else
      found.push({ scheme: 'basic', id: formDecoded(basic.user), secret: formDecoded(basic.password ?? '') });
    if (dialect.client.includes('basic_key') && basic.password !== '')
      faults.push('the password is not empty');
  }
  if (secret !== null) found.push({ scheme: 'parameters', id, secret });
  else if (id !== null) found.push({ scheme: 'public', id, secret: null });
  if (found.length === 0) found.push({ scheme: 'nothing', id: null, secret: null });
  const [credentials] = found;
  // RFC 6749 §2.3: not more than one method in a request.
  if (found.length > 1)
    faults.push(`the client says who it is in ${found.map(({ scheme }) => scheme).join(' and ')}`);
  if (!credentials || !dialect.client.includes(credentials.scheme)) {
    faults.push(`the client comes as ${credentials?.scheme}, not as ${dialect.client.join(' or ')}`);
    return null;
  }
  return credentials;
}

function readBasic(header: string): { user: string; password: string | null } | null {
  const encoded = /^Basic (\S+)$/.exec(header)?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0
    ? { user: text, password: null }
    : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** RFC 6749 appendix B. What is not form-encoded comes out as something else, or as nothing. */
function formDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}

function quoted(value: string | undefined): string {
  return value === undefined ? 'missing' : `"${value}"`;
}
