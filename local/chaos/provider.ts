import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { breakConnection } from './break-connection.ts';
import type { Grant, Ledger, TokenCall } from './ledger.ts';
import type { FaultKind } from './plan.ts';
import type { Processes } from './processes.ts';

/** Stands at the begin of every token of the fast provider, so that any text can be searched for all of them. */
export const canary = 'chaos-canary-';

/** What is done to one call, beside or instead of answering it. */
export interface CallFault {
  /** `null`: it is none, and only how this provider is. */
  readonly kind: FaultKind | null;
  /** Waits so long before anything else. */
  readonly delayMs?: number;
  /** Instead of processing it; without an answer nothing is sent. */
  readonly unprocessed?: ProviderAnswer | 'reset' | 'silence';
  /** After processing, instead of its answer. */
  readonly lost?: ProviderAnswer | 'reset' | 'silence';
  /** At that moment the process that asked is killed, and hears nothing any more but what was sent. */
  readonly killAt?: 'arrival' | 'processing' | 'answer';
  /** The body comes in pieces, over so long a time. */
  readonly dripMs?: number;
}

export interface ProviderAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ChaosProviderOptions {
  readonly name: string;
  readonly displayName: string;
  readonly ledger: Ledger;
  readonly processes: Processes;
  /** Time by which the grace of spent tokens passes. */
  readonly nowMs: () => number;
  readonly graceMs: number;
  readonly accessTokenSeconds: () => number;
  /** Token endpoint of the server that answers in its place; without it, it answers by itself. */
  readonly upstream?: {
    readonly tokenEndpoint: string;
    readonly clientId: string;
    readonly clientSecret: string;
  };
  /** What happens to a call; `null`: nothing. */
  readonly fault: (call: TokenCall) => CallFault | null;
  /** `kind` was asked for by `killAt`. */
  readonly kill: (call: TokenCall, kind: FaultKind) => void;
  readonly onAnswered: (call: TokenCall) => void;
}

/** Two calls of one process are not at the same time when it has given the first one up, and we hear of that a little later. */
const leaveNoticeMs = 250;

/**
 * A token endpoint that knows each token it ever issued, which call spent it, and which process made that call. By itself
 * it rotates at every use, and ends the grant when a spent token comes again after the grace (RFC 9700 §4.14.2); in front of
 * another server it passes requests on, and reads its answers.
 */
export class ChaosProvider {
  readonly #options: ChaosProviderOptions;
  readonly #server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    this.#take(request, response).catch(() => response.destroy());
  });
  readonly #clientId: string;
  readonly #clientSecret: string;
  #origin = '';

  constructor(options: ChaosProviderOptions) {
    this.#options = options;
    this.#clientId = options.upstream?.clientId ?? `acme-flows-at-${options.name}`;
    this.#clientSecret =
      options.upstream?.clientSecret ?? `${canary}secret-${randomBytes(12).toString('hex')}`;
    options.ledger.secrets.add(this.#clientSecret);
  }

  get name(): string {
    return this.#options.name;
  }

  /** Whether it has grants of its own to give. */
  get givesGrants(): boolean {
    return this.#options.upstream === undefined;
  }

  async start(): Promise<void> {
    this.#server.on('connection', (socket: Socket) => void this.#options.processes.behind(socket));
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', 4_096, resolve);
    });
    this.#origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** The content of its secret. */
  secret(): object {
    const { displayName, graceMs } = this.#options;
    return {
      clientId: this.#clientId,
      clientSecret: this.#clientSecret,
      provider: {
        displayName,
        tokenEndpoint: `${this.#origin}/token`,
        clientAuthentication: 'client_secret_post',
        rotation: 'always',
        reuseGraceSeconds: graceMs / 1000,
      },
    };
  }

  /** A grant as an authorization gives it, and the token that renews it. */
  connect(integrationId: string): { readonly grant: Grant; readonly refreshToken: string } {
    const refreshToken = newToken('rt');
    return { grant: this.adopt(integrationId, refreshToken), refreshToken };
  }

  /** A grant that the server behind has given. */
  adopt(integrationId: string, refreshToken: string): Grant {
    const { name, graceMs, ledger } = this.#options;
    const grant: Grant = {
      integrationId,
      provider: name,
      graceMs,
      revokedByUser: false,
      revokedForReuse: false,
      underWay: [],
    };
    ledger.issue(refreshToken, grant, null);
    return grant;
  }

  /** Whether a token renews its grant: asks as our client does. */
  async tries(refreshToken: string): Promise<boolean> {
    const response = await fetch(`${this.#origin}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: this.#clientId,
        client_secret: this.#clientSecret,
      }),
    });
    await response.arrayBuffer();
    return response.ok;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { ledger, processes, name } = this.#options;
    const arrivedAtMs = Date.now();
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The caller has left.
      return;
    }
    const body = Buffer.concat(chunks).toString();
    const form = new URLSearchParams(body);
    const text = form.get('refresh_token') ?? '';
    const token = ledger.token(text) ?? null;
    const process = processes.caller(request.socket, token?.grant.integrationId ?? null);
    const call = ledger.begin(
      { provider: name, token, process, invocation: process?.invocation ?? null },
      arrivedAtMs,
    );
    const { grant } = call;
    if (grant) this.#watch(grant, call, response);
    const fault = process === null ? null : this.#options.fault(call);
    call.fault = fault?.kind ?? null;
    const kill = (at: CallFault['killAt']): boolean => {
      if (fault === null || fault.kind === null || fault.killAt !== at) return false;
      this.#options.kill(call, fault.kind);
      return true;
    };
    if (kill('arrival')) return void response.destroy();
    if (fault?.delayMs !== undefined) await sleep(fault.delayMs);
    if (fault?.unprocessed !== undefined) {
      call.answer = typeof fault.unprocessed === 'string' ? 'none' : 'passing';
      return this.#give(call, response, fault.unprocessed);
    }
    const answer = await this.#process(call, form, body);
    if (kill('processing')) return void response.destroy();
    if (fault?.lost !== undefined) {
      call.answer = typeof fault.lost === 'string' ? 'none' : 'passing';
      return this.#give(call, response, fault.lost);
    }
    await this.#give(call, response, answer, fault?.dripMs);
    kill('answer');
  }

  /** Notes who else is under way for the same grant, and when the caller leaves. */
  #watch(grant: Grant, call: TokenCall, response: ServerResponse): void {
    if (response.socket === null || response.socket.destroyed) {
      call.leftAtMs = Date.now();
      return;
    }
    const others = grant.underWay;
    grant.underWay = [...others, call];
    response.once('close', () => {
      grant.underWay = grant.underWay.filter((each) => each !== call);
      if (!response.writableFinished) call.leftAtMs = Date.now();
    });
    const [other] = others;
    if (other === undefined) return;
    if (other.process === null || other.process !== call.process) {
      call.overlaps = other;
      return;
    }
    setTimeout(() => {
      if (other.leftAtMs === null) call.overlaps = other;
    }, leaveNoticeMs).unref();
  }

  async #process(call: TokenCall, form: URLSearchParams, body: string): Promise<ProviderAnswer> {
    return this.#options.upstream === undefined
      ? this.#redeem(call, form)
      : this.#passOn(call, body, this.#options.upstream.tokenEndpoint);
  }

  #redeem(call: TokenCall, form: URLSearchParams): ProviderAnswer {
    const { ledger, nowMs, accessTokenSeconds } = this.#options;
    if (form.get('client_id') !== this.#clientId || form.get('client_secret') !== this.#clientSecret) {
      call.answer = 'passing';
      return json(401, { error: 'invalid_client' });
    }
    const { grant, token } = call;
    if (token && grant && !grant.revokedByUser && !grant.revokedForReuse && token.spentAtMs !== null) {
      call.reuse = nowMs() - token.spentAtMs >= grant.graceMs;
      if (call.reuse) grant.revokedForReuse = true;
    }
    if (!token || !grant || grant.revokedByUser || grant.revokedForReuse) {
      call.answer = 'refused';
      return json(400, { error: 'invalid_grant' });
    }
    call.processedAtMs = Date.now();
    token.spentAtMs ??= nowMs();
    token.spentBy.push(call);
    const refreshToken = newToken('rt');
    const accessToken = newToken('at');
    ledger.issue(refreshToken, grant, call);
    call.answer = 'refreshed';
    return json(200, {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: accessTokenSeconds(),
      refresh_token: refreshToken,
    });
  }

  async #passOn(call: TokenCall, body: string, tokenEndpoint: string): Promise<ProviderAnswer> {
    const { ledger, nowMs, accessTokenSeconds } = this.#options;
    const response = await fetch(tokenEndpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
    const text = await response.text();
    const answer = JSON.parse(text) as { access_token?: string; refresh_token?: string; error?: string };
    if (!response.ok) {
      const { grant, token } = call;
      if (answer.error === 'invalid_grant') {
        call.answer = 'refused';
        call.reuse = token !== null && token.spentAtMs !== null && grant?.revokedForReuse !== true;
        if (call.reuse && grant) grant.revokedForReuse = true;
      } else call.answer = 'passing';
      return json(response.status, answer);
    }
    call.processedAtMs = Date.now();
    call.answer = 'refreshed';
    if (call.token) {
      call.token.spentAtMs ??= nowMs();
      call.token.spentBy.push(call);
    }
    if (answer.refresh_token !== undefined && call.grant)
      ledger.issue(answer.refresh_token, call.grant, call);
    if (answer.access_token !== undefined) ledger.secrets.add(answer.access_token);
    return json(200, { ...answer, expires_in: accessTokenSeconds() });
  }

  async #give(
    call: TokenCall,
    response: ServerResponse,
    answer: ProviderAnswer | 'reset' | 'silence',
    dripMs = 0,
  ): Promise<void> {
    if (answer === 'silence') return;
    if (answer === 'reset') {
      if (response.socket) breakConnection(response.socket);
      return;
    }
    const { status, headers = {}, body } = answer;
    response.writeHead(status, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...headers,
    });
    if (dripMs > 0) {
      for (let piece = 0; piece < dripPieces - 1; piece += 1) {
        response.write(
          body.slice((piece * body.length) / dripPieces, ((piece + 1) * body.length) / dripPieces),
        );
        await sleep(dripMs / dripPieces);
      }
    }
    const rest = dripMs > 0 ? body.slice(((dripPieces - 1) * body.length) / dripPieces) : body;
    await new Promise<void>((resolve) => {
      response.once('close', resolve);
      response.end(rest, () => {
        call.answeredAtMs = Date.now();
        this.#options.onAnswered(call);
        resolve();
      });
    });
  }
}

const dripPieces = 5;

function newToken(kind: 'rt' | 'at'): string {
  return `${canary}${kind}-${randomBytes(24).toString('base64url')}`;
}

function json(status: number, body: object): ProviderAnswer {
  return { status, body: JSON.stringify(body) };
}
