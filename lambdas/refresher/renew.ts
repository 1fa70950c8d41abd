import { metricNames } from '../contract.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { InvocationMetrics } from '../observability/metrics.ts';
import { sendTokenRequest } from '../providers/call.ts';
import type { ProviderClient } from '../providers/client.ts';
import { buildTokenRequest, type PresentedGrant, type TokenRequest } from '../providers/request.ts';
import { verdict } from '../providers/verdict.ts';

export interface RenewParts {
  readonly metrics: InvocationMetrics;
  readonly callTimeoutMs: number;
  /** The database's clock, for what a client asserts. */
  readonly nowSeconds: () => number;
  /** Whether a call that begins now can still finish, and its result be committed. */
  readonly timeForACall: () => boolean;
  /** Resolves when the provider's limit lets a second call begin, or to `false` if not within so long. */
  readonly anotherTurn: (withinMs: number) => Promise<boolean>;
}

/** What came of the call, or the two calls, of one attempt. */
export interface Renewal {
  /** Of the last call. */
  readonly outcome: Outcome;
  /** `performance.now()` when its answer came. */
  readonly receivedAtMs: number;
  readonly callMs: number;
  /** The code of the doubtful call that this one repeats; `null`: there was one call. */
  readonly retriedAfter: string | null;
  /** A call of this attempt may have spent the token, and no tokens came of it. */
  readonly doubtful: boolean;
}

/** So much before the end of a grace the retry begins at the latest, so that the provider has it within the grace. */
const graceMarginMs = 5_000;

/**
 * Presents a grant to its provider. If the answer is lost, and the provider lets a token that was used be used again for
 * a while, it is presented again at once: whatever the first call has done, the second brings living tokens. The first
 * call's connection is closed by then. A retry is one more call, so it takes a turn where the provider has a limit, and
 * there is none if the provider asks for patience (`Retry-After`).
 *
 * There is one retry: whoever loses two answers in a row is down, and is not helped by a third call of each integration.
 * The doubt is written down instead, and the next attempt is the row's usual one.
 */
export async function renew(
  { metrics, callTimeoutMs, nowSeconds, timeForACall, anotherTurn }: RenewParts,
  {
    provider,
    client,
    grant,
    request,
  }: {
    readonly provider: string;
    readonly client: ProviderClient;
    readonly grant: PresentedGrant;
    /** Made of the two. */
    readonly request: TokenRequest;
  },
): Promise<Renewal> {
  const call = async (sending: TokenRequest) => {
    const sentAtMs = performance.now();
    const outcome = verdict(client.provider, await sendTokenRequest(sending, callTimeoutMs));
    const receivedAtMs = performance.now();
    const doubtful = outcome.kind === 'transient' && outcome.doubtful;
    if (doubtful) metrics.count(metricNames.doubtfulCalls, 1, { provider });
    return { outcome, sentAtMs, receivedAtMs, callMs: receivedAtMs - sentAtMs, doubtful };
  };

  const first = await call(request);
  const { outcome: failure } = first;
  if (failure.kind !== 'transient' || !failure.doubtful) return { ...first, retriedAfter: null };
  const lastMomentMs = first.sentAtMs + client.provider.reuseGraceSeconds * 1000 - graceMarginMs;
  const isInTime = () => performance.now() < lastMomentMs && timeForACall();
  const mayRetry =
    (failure.retryAfterSeconds ?? 0) === 0 &&
    isInTime() &&
    (await anotherTurn(lastMomentMs - performance.now())) &&
    isInTime();
  // Built anew: an assertion of a client is good for one request (RFC 7523 §3, `jti`).
  const again = mayRetry ? await buildTokenRequest(client, grant, { nowSeconds: nowSeconds() }) : null;
  if (!again?.ok) return { ...first, retriedAfter: null };

  metrics.milliseconds(metricNames.callDuration, first.callMs, { provider });
  const second = await call(again.request);
  const resolved = second.outcome.kind === 'refreshed';
  if (resolved) metrics.count(metricNames.doubtsResolved, 1, { provider });
  return { ...second, retriedAfter: failure.code, doubtful: !resolved };
}
