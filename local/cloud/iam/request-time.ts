import type { IncomingHttpHeaders } from 'node:http';

/** How far apart the clocks of whoever signs and of the service may be (SigV4, "elements of a request"). */
const TOLERANCE_MINUTES = 5;

/** Why a request is refused that was signed at another time, in AWS' words. */
export interface RequestTimeDenial {
  code: 'InvalidSignatureException';
  message: string;
}

/**
 * Judges when a request was signed, by its `X-Amz-Date`; null when that is near enough. A request without one is signed by
 * nobody, and not judged.
 */
export function judgeRequestTime(
  { 'x-amz-date': signedAt }: IncomingHttpHeaders,
  nowMs: number,
): RequestTimeDenial | null {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(signedAt ?? ''));
  if (!parts) return null;
  const [, year, month, day, hour, minute, second] = parts;
  const signedAtMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  const toleranceMs = TOLERANCE_MINUTES * 60_000;
  if (signedAtMs < nowMs - toleranceMs) {
    return denial(
      `Signature expired: ${signedAt} is now earlier than ${basic(nowMs - toleranceMs)} (${basic(nowMs)} - ${TOLERANCE_MINUTES} min.)`,
    );
  }
  if (signedAtMs > nowMs + toleranceMs) {
    return denial(
      `Signature not yet current: ${signedAt} is still later than ${basic(nowMs + toleranceMs)} (${basic(nowMs)} + ${TOLERANCE_MINUTES} min.)`,
    );
  }
  return null;
}

/** By a clock that nobody in this process can put forward or back, as a service's. */
export function trueTimeMs(): number {
  return performance.timeOrigin + performance.now();
}

function denial(message: string): RequestTimeDenial {
  return { code: 'InvalidSignatureException', message };
}

/** `YYYYMMDDTHHMMSSZ`. */
function basic(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}
