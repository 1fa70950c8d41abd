import type { KeysReport } from '../../lambdas/operator/reports.ts';
import type { TokenKeys } from '../../lambdas/sealing/token-keys.ts';

/** A key, and how many stored tokens it seals. */
export interface KeyUse {
  readonly keyId: string;
  /** `unknown`: the secret does not hold it, so that nobody can open what it sealed. */
  readonly role: 'current' | 'previous' | 'unknown';
  readonly tokens: number;
}

/** Every key of the secret and every key that seals something, the current one first. */
export function usesOf({ current, previous }: TokenKeys, report: KeysReport): KeyUse[] {
  const tokensOf = (keyId: string) => report.keys.find((key) => key.keyId === keyId)?.tokens ?? 0;
  const known = new Set([current.id, ...previous.map(({ id }) => id)]);
  return [
    { keyId: current.id, role: 'current', tokens: tokensOf(current.id) },
    ...previous
      .filter(({ id }) => id !== current.id)
      .map(({ id }): KeyUse => ({ keyId: id, role: 'previous', tokens: tokensOf(id) })),
    ...report.keys
      .filter(({ keyId, tokens }) => tokens > 0 && !known.has(keyId))
      .map(({ keyId, tokens }): KeyUse => ({ keyId, role: 'unknown', tokens })),
  ];
}
