import type { KoaContextWithOIDC } from 'oidc-provider';
import type { CallFilter } from './call-log.ts';
import type { Fault } from './fault-list.ts';
import type { Faults } from './faults.ts';
import { InvalidInputError, requireRecord } from './invalid-input.ts';
import { readBody } from './read-body.ts';

const PREFIX = '/_switches';
const MAX_BODY_BYTES = 1024 * 1024;

/** What the state says of the provider beside its faults. None of it is secret. */
export interface ProviderDescription {
  name: string;
  displayName: string;
  origin: string;
  issuer: string;
  tokenEndpoint: string;
  userinfoEndpoint: string;
  client: { clientId: string; clientAuth: string };
  refreshTokenLifetimeSeconds: number;
}

interface SwitchRequest {
  /** The last segment of a path that ends in one. */
  id: string;
  query: URLSearchParams;
  json(): Promise<unknown>;
}

interface SwitchRoute {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Below the prefix; `:id` stands for one segment. */
  path: string;
  does: string;
  /** Arguments of curl after the method and before the URL, in the help. */
  example?: string;
  status?: number;
  handle(faults: Faults, request: SwitchRequest): unknown;
}

const UNAVAILABLE_TWICE = '{"account":"ada@example.com","times":2,"answer":{"status":503}}';

const ROUTES: SwitchRoute[] = [
  {
    method: 'PUT',
    path: '/faults',
    does: 'replace all faults by a list',
    example: `[${UNAVAILABLE_TWICE}]`,
    handle: async (faults, request) => ({ faults: faults.replace((await request.json()) as Fault[]) }),
  },
  {
    method: 'POST',
    path: '/faults',
    does:
      'add a fault to refresh calls: id?, account?, times?, delayMs?, and one of answer {status, headers?, body?}, ' +
      'reset: true, hang: true, which with afterProcessing: true lose the answer after the token has rotated',
    example: UNAVAILABLE_TWICE,
    status: 201,
    handle: async (faults, request) => faults.add((await request.json()) as Fault),
  },
  {
    method: 'DELETE',
    path: '/faults',
    does: 'remove all faults',
    handle: (faults) => {
      faults.clear();
      return { faults: faults.list() };
    },
  },
  {
    method: 'DELETE',
    path: '/faults/:id',
    does: 'remove one fault',
    handle: (faults, { id }) => {
      if (!faults.remove(id)) throw new NotFoundError(`no fault has the id ${id}`);
      return { faults: faults.list() };
    },
  },
  {
    method: 'PUT',
    path: '/client-secret',
    does: "change the client's secret at the provider; the old one gets invalid_client",
    example: '{"clientSecret":"…"}',
    handle: async (faults, request) => {
      const { clientSecret } = requireRecord(await request.json(), 'body', ['clientSecret']);
      faults.setClientSecret(clientSecret as string);
      return { changed: true };
    },
  },
  {
    method: 'PUT',
    path: '/access-token-lifetime',
    does: 'change the lifetime of access tokens that are issued from now on',
    example: '{"seconds":60}',
    handle: async (faults, request) => {
      const { seconds } = requireRecord(await request.json(), 'body', ['seconds']);
      faults.setAccessTokenLifetimeSeconds(seconds as number);
      return { accessTokenLifetimeSeconds: faults.accessTokenLifetimeSeconds };
    },
  },
  {
    method: 'POST',
    path: '/revoke',
    does: "revoke all of an account's grants, as its user could at the provider",
    example: '{"account":"ada@example.com"}',
    handle: async (faults, request) => {
      const { account } = requireRecord(await request.json(), 'body', ['account']);
      return { revokedGrants: faults.revokeAccount(account as string) };
    },
  },
  {
    method: 'GET',
    path: '/calls',
    does: 'list refresh calls; ?account=… selects one account, ?since=n those after sequence n',
    handle: (faults, { query }) => faults.calls(callFilter(query)),
  },
];

class NotFoundError extends Error {}

/** Middleware with the fault switches over HTTP, for curl and for programs, below `/_switches`. */
export function switches(faults: Faults, description: ProviderDescription) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> => {
    if (ctx.path !== PREFIX && !ctx.path.startsWith(`${PREFIX}/`)) return next();
    ctx.set('cache-control', 'no-store');
    try {
      if (ctx.path === PREFIX && ctx.method === 'GET') {
        sendJson(ctx, 200, state(faults, description));
        return;
      }
      const found = findRoute(ctx.method, ctx.path.slice(PREFIX.length));
      if (!found) throw new NotFoundError(`${ctx.method} ${ctx.path} does not exist`);
      const query = new URLSearchParams(ctx.querystring);
      const answer = await found.route.handle(faults, { id: found.id, query, json: () => readJson(ctx) });
      sendJson(ctx, found.route.status ?? 200, answer);
    } catch (error) {
      if (error instanceof InvalidInputError) {
        sendJson(ctx, 400, { error: 'invalid_input', message: error.message });
      } else if (error instanceof NotFoundError) {
        const exists = [`GET ${PREFIX}`, ...ROUTES.map(({ method, path }) => `${method} ${PREFIX}${path}`)];
        const message = `${error.message}; see GET ${PREFIX} for what can be done`;
        sendJson(ctx, 404, { error: 'not_found', message, exists });
      } else {
        throw error;
      }
    }
  };
}

function state(faults: Faults, description: ProviderDescription): object {
  return {
    ...description,
    accessTokenLifetimeSeconds: faults.accessTokenLifetimeSeconds,
    grants: faults.grantCount(),
    faults: faults.list(),
    totals: faults.totals(),
    help: ROUTES.map(({ method, path, does, example }) => ({
      does,
      curl: [
        'curl',
        method === 'GET' ? '' : `-X ${method}`,
        `'${description.origin}${PREFIX}${path.replace(':id', 'fault-1')}'`,
        example === undefined ? '' : `-d '${example}'`,
      ]
        .filter((part) => part !== '')
        .join(' '),
    })),
  };
}

function findRoute(method: string, path: string): { route: SwitchRoute; id: string } | undefined {
  const slash = path.lastIndexOf('/');
  const id = decodeSegment(path.slice(slash + 1));
  const pathWithId = `${path.slice(0, slash)}/:id`;
  const route = ROUTES.find(
    (candidate) => candidate.method === method && (candidate.path === path || candidate.path === pathWithId),
  );
  return route && { route, id };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function callFilter(query: URLSearchParams): CallFilter {
  const filter: CallFilter = {};
  for (const [name, value] of query) {
    if (name === 'account') {
      filter.account = value;
    } else if (name === 'since') {
      if (!/^\d{1,15}$/.test(value)) {
        throw new InvalidInputError(
          'since',
          'must be a whole number, the sequence of the last call that you have',
        );
      }
      filter.since = Number(value);
    } else {
      throw new InvalidInputError(name, 'is an unknown query parameter; use account and since');
    }
  }
  return filter;
}

async function readJson(ctx: KoaContextWithOIDC): Promise<unknown> {
  const body = await readBody(ctx.req, MAX_BODY_BYTES);
  if (body === 'too-large')
    throw new InvalidInputError('body', `must be at most ${MAX_BODY_BYTES} bytes long`);
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new InvalidInputError('body', `must be JSON; see GET ${PREFIX} for examples`);
  }
}

function sendJson(ctx: KoaContextWithOIDC, status: number, value: unknown): void {
  ctx.status = status;
  ctx.type = 'application/json';
  ctx.body = `${JSON.stringify(value, null, 2)}\n`;
}
