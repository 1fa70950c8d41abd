import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Answer, Dialect, RawRequest } from './dialect.ts';
import { Grants } from './grants.ts';
import { type Credentials, readRequest } from './read-request.ts';

/**
 * How the provider is doing. `unavailable`: its outage answer for everybody. `silent`: it never answers. `resetting`:
 * connections break. `refusing`: every grant is called dead, and none is. `limiting`: too many requests.
 */
export type Condition = 'healthy' | 'unavailable' | 'silent' | 'resetting' | 'refusing' | 'limiting';

/** One call as the provider saw it. */
export interface Call {
  /** Of the server's clock. */
  readonly atMs: number;
  /** `null`: the token was never given out here. */
  readonly account: string | null;
  /** `null`: there was no answer. */
  readonly status: number | null;
  readonly refreshed: boolean;
  /** Another call for the same grant was under way. */
  readonly overlapped: boolean;
  /** A spent refresh token was presented, past its grace. */
  readonly reuse: boolean;
}

export interface TokenServerOptions {
  readonly dialect: Dialect;
  readonly client: { readonly id: string; readonly secret: string };
  /** Real time by default. */
  readonly nowMs?: () => number;
  /** How many of the last requests are kept as they came; none by default. */
  readonly keptRequests?: number;
}

const dialectViolation = (faults: readonly string[]): Answer => ({
  status: 400,
  body: { error: 'dialect_violation', error_description: faults.join('; ') },
});

/**
 * A provider's token endpoint and nothing else: quick enough to be asked by thousands of integrations at once, and
 * exact in what it takes. What does not come as the provider wants it is remembered in `violations`.
 */
export class TokenServer {
  readonly #options: TokenServerOptions;
  readonly #grants: Grants;
  readonly #paths: readonly RegExp[];
  readonly #server = createServer((request, response) => void this.#take(request, response));
  #client: { readonly id: string; readonly secret: string };

  condition: Condition = 'healthy';
  /** So many of the next answers are lost: the call does what it does, and the connection breaks. */
  answersToLose = 0;
  readonly calls: Call[] = [];
  readonly requests: RawRequest[] = [];
  /** What was wrong with requests, in words. */
  readonly violations: string[] = [];

  constructor(options: TokenServerOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#grants = new Grants(options.dialect);
    this.#paths = options.dialect.paths.map(patternOf);
  }

  /** Listens on a free port of 127.0.0.1. Returns the origin. */
  async start(): Promise<string> {
    // Callers keep connections alive for longer than the 5 s by default; who closes first loses a request.
    this.#server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** A grant of an account, as an authorization gives it: the token that renews it. */
  mint(account: string): string {
    return this.#grants.mint(account);
  }

  /** The user takes the grant of this token back. */
  revoke(token: string): void {
    this.#grants.revoke(token);
  }

  /** From now on only these credentials count. */
  setClientSecret(secret: string): void {
    this.#client = { ...this.#client, secret };
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The caller has left.
      return;
    }
    const raw: RawRequest = {
      method: request.method ?? '',
      target: request.url ?? '',
      headers: Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      ),
      body: Buffer.concat(chunks).toString(),
    };
    const { keptRequests = 0 } = this.#options;
    if (keptRequests > 0) {
      this.requests.push(raw);
      if (this.requests.length > keptRequests) this.requests.shift();
    }
    this.#answer(raw, response);
  }

  #answer(raw: RawRequest, response: ServerResponse): void {
    const atMs = (this.#options.nowMs ?? Date.now)();
    const { credentials, token, faults } = readRequest(this.#options.dialect, raw);
    const grant = token === null ? null : this.#grants.of(token);
    const overlapped = grant !== null && grant.inFlight > 0;
    const log = (what: Pick<Call, 'status' | 'refreshed' | 'reuse'>) =>
      void this.calls.push({ atMs, account: grant?.account ?? null, overlapped, ...what });
    if (grant) {
      grant.inFlight += 1;
      response.once('close', () => {
        grant.inFlight -= 1;
      });
    }
    if (this.condition === 'silent' || this.condition === 'resetting') {
      log({ status: null, refreshed: false, reuse: false });
      if (this.condition === 'resetting') response.socket?.resetAndDestroy();
      return;
    }
    const { answer, refreshed, reuse } = this.#decide(raw, { credentials, token, faults }, atMs);
    if (this.answersToLose > 0) {
      this.answersToLose -= 1;
      log({ status: null, refreshed, reuse });
      response.socket?.resetAndDestroy();
      return;
    }
    log({ status: answer.status, refreshed, reuse });
    send(response, answer, atMs);
  }

  #decide(
    raw: RawRequest,
    read: { credentials: Credentials | null; token: string | null; faults: readonly string[] },
    atMs: number,
  ): { answer: Answer; refreshed: boolean; reuse: boolean } {
    const { dialect } = this.#options;
    const only = (answer: Answer) => ({ answer, refreshed: false, reuse: false });
    if (this.condition === 'unavailable') return only(dialect.outage);
    if (this.condition === 'limiting') return only(dialect.rateLimit(atMs));
    const [path = ''] = raw.target.split('?');
    if (!this.#paths.some((pattern) => pattern.test(path))) {
      this.violations.push(`${path} is none of ${dialect.paths.join(', ')}`);
      return only({ status: 404, body: 'Not Found' });
    }
    if (raw.method !== (dialect.method ?? 'POST')) {
      this.violations.push(`${raw.method} instead of ${dialect.method ?? 'POST'}`);
      return only({ status: 405, body: 'Method Not Allowed' });
    }
    const objection = dialect.objection?.(raw) ?? null;
    if (objection !== null) {
      this.violations.push(objection.why);
      return only(objection.answer);
    }
    if (read.faults.length > 0) {
      this.violations.push(...read.faults);
      return only(dialectViolation(read.faults));
    }
    if (!this.#isOurs(read.credentials)) return only(dialect.wrongClient);
    if (this.condition === 'refusing') return only(dialect.deadGrant);
    const redeemed = this.#grants.redeem(read.token ?? '', atMs);
    if (redeemed.kind !== 'good')
      return { answer: dialect.deadGrant, refreshed: false, reuse: redeemed.kind === 'reuse' };
    const random = randomBytes(24).toString('base64url');
    const accessToken =
      dialect.rotation === 'exchange'
        ? redeemed.token
        : (dialect.accessToken?.(random, atMs) ?? `at-${random}`);
    const answer = dialect.success({ accessToken, refreshToken: redeemed.token, atMs });
    return { answer, refreshed: true, reuse: false };
  }

  #isOurs(given: Credentials | null): boolean {
    const { id, secret } = this.#client;
    switch (given?.scheme) {
      case 'basic':
      case 'parameters':
        return given.id === id && given.secret === secret;
      case 'basic_key':
        return given.secret === secret;
      case 'public':
        return given.id === id;
      case 'nothing':
        return true;
      default:
        return false;
    }
  }
}

function patternOf(path: string): RegExp {
  const parts = path.split(/\{\w+\}/).map((part) => part.replaceAll(/[^\w/]/g, '\\$&'));
  return new RegExp(`^${parts.join('[\\w.~-]+')}$`);
}

function send(response: ServerResponse, { status, headers = {}, body }: Answer, atMs: number): void {
  const json = typeof body !== 'string';
  response.writeHead(status, {
    'content-type': json ? 'application/json' : 'text/plain',
    'cache-control': 'no-store',
    // Moments in answers are compared with it.
    date: new Date(atMs).toUTCString(),
    ...headers,
  });
  response.end(json ? JSON.stringify(body) : body);
}
