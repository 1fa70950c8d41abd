import { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { type CallLog, fingerprint } from './call-log.ts';
import type { FaultAnswer, FaultList } from './fault-list.ts';
import type { GrantStore } from './grant-store.ts';
import { isRecord } from './invalid-input.ts';
import { readBody } from './read-body.ts';

/** What the middleware acts with. */
export interface RefreshEndpointOptions {
  /** Path of the token endpoint. */
  path: string;
  store: GrantStore;
  calls: CallLog;
  faults: FaultList;
  /** Aborted when the provider stops: pending delays end unanswered. */
  stopping: AbortSignal;
}

const MAX_BODY_BYTES = 56 * 1024;

/**
 * Middleware in front of oidc-provider's token endpoint which applies the faults to refresh calls
 * (RFC 6749 section 6) and logs them. Other grant types pass.
 */
export function refreshEndpoint({ path, store, calls, faults, stopping }: RefreshEndpointOptions) {
  return async (ctx: KoaContextWithOIDC, next: () => Promise<void>): Promise<void> => {
    if (ctx.method !== 'POST' || ctx.path !== path) return next();
    const body = await readBody(ctx.req, MAX_BODY_BYTES);
    if (body === 'client-left') {
      ctx.respond = false;
      return;
    }
    if (body === 'too-large') {
      ctx.status = 413;
      ctx.body = { error: 'invalid_request', error_description: 'request entity too large' };
      return;
    }
    ctx.req = withBody(ctx.req, body);
    const form = new URLSearchParams(body.toString());
    if (form.get('grant_type') !== 'refresh_token') return next();

    const presented = form.get('refresh_token');
    const lookUp = () => (presented === null ? undefined : store.refreshToken(presented));
    const known = lookUp();
    const account = known?.account ?? null;
    let reuse = known?.consumed ?? false;
    let rotatedTo: string | null = null;
    let answered = true;

    const call = calls.begin(known?.grantId ?? null);
    let clientHasLeft = false;
    const clientLeft = new Promise<void>((resolve) => {
      ctx.res.once('close', () => {
        clientHasLeft = !ctx.res.writableFinished;
        calls.end(call);
        resolve();
      });
    });

    const fault = faults.take(account);
    const losesAnswer = fault?.answer !== undefined || fault?.reset === true || fault?.hang === true;
    try {
      if (fault?.delayMs) await delay(fault.delayMs, undefined, { signal: stopping });
      if (!losesAnswer || fault?.afterProcessing) {
        // Another call may have consumed it during the delay. After this line none can: up to the moment when
        // oidc-provider marks the token as consumed it awaits only this process's memory.
        reuse ||= lookUp()?.consumed ?? false;
        await next();
        rotatedTo = newRefreshToken(ctx.body);
      }
      if (fault?.answer) giveAnswer(ctx, fault.answer);
      if (fault?.reset) ctx.res.socket?.resetAndDestroy();
      if (fault?.hang) await clientLeft;
      answered = !fault?.reset && !fault?.hang;
    } catch (error) {
      if (!stopping.aborted) throw error;
      answered = false;
    }

    answered &&= !clientHasLeft;
    if (!answered) ctx.respond = false;
    calls.complete(call, {
      account,
      status: answered ? ctx.status : null,
      error: answered ? errorOf(ctx.body) : null,
      reuse,
      refreshTokenFingerprint: presented === null ? null : fingerprint(presented),
      rotatedTo,
      faulted: fault?.id ?? null,
      clientId: clientIdOf(ctx.get('authorization'), form),
    });
  };
}

/** The same request with its body still to be read: oidc-provider insists on reading it from the stream. */
function withBody(request: IncomingMessage, body: Buffer): IncomingMessage {
  const copy = new IncomingMessage(request.socket);
  copy.method = request.method;
  copy.url = request.url;
  copy.httpVersion = request.httpVersion;
  copy.httpVersionMajor = request.httpVersionMajor;
  copy.httpVersionMinor = request.httpVersionMinor;
  copy.headers = request.headers;
  copy.rawHeaders = request.rawHeaders;
  copy.complete = true;
  copy.push(body);
  copy.push(null);
  return copy;
}

function giveAnswer(ctx: KoaContextWithOIDC, answer: FaultAnswer): void {
  for (const name of ctx.res.getHeaderNames()) ctx.remove(name);
  ctx.status = answer.status;
  ctx.body = answer.body ?? '';
  if (answer.body === undefined) ctx.remove('content-type');
  for (const [name, value] of Object.entries(answer.headers ?? {})) ctx.set(name, value);
}

function errorOf(body: unknown): string | null {
  if (typeof body === 'string') {
    try {
      return errorOf(JSON.parse(body));
    } catch {
      return null;
    }
  }
  return isRecord(body) && typeof body.error === 'string' ? body.error : null;
}

/** Fingerprint of the refresh token in a token response. */
function newRefreshToken(body: unknown): string | null {
  return isRecord(body) && typeof body.refresh_token === 'string' ? fingerprint(body.refresh_token) : null;
}

/** Who the client says it is, by either way of RFC 6749 section 2.3.1. */
function clientIdOf(authorization: string, form: URLSearchParams): string | null {
  const basic = /^basic (\S+)$/i.exec(authorization)?.[1];
  if (basic === undefined) return form.get('client_id');
  const encoded = Buffer.from(basic, 'base64').toString().split(':')[0] ?? '';
  return new URLSearchParams(`client_id=${encoded}`).get('client_id');
}
