import { createHash } from 'node:crypto';
import type { SealedResultMessage } from './contract.ts';
import type { RefreshedResult } from './postgres/store-refreshed.ts';
import { z } from './schema.ts';
import { sealedKeyId } from './sealing/sealed-head.ts';
import type { Sealer } from './sealing/token-sealer.ts';

/** What is sealed: all that `storeRefreshed` takes, with lifetimes that run from the moment of sealing. */
const contents = z.object({
  /** Seconds since 1970, by the clock of the database. */
  sealedAtSeconds: z.number(),
  usedToken: z.string(),
  accessToken: z.string(),
  refreshToken: z.string(),
  expiresInSeconds: z.number(),
  refreshTokenExpiresInSeconds: z.nullable(z.number()),
  authorizationLifetimeSeconds: z.nullable(z.number()),
  scope: z.nullable(z.string()),
  kept: z.record(z.string(), z.string()),
  providerName: z.string(),
});

/** Seals a success for its queue. Tokens that are stored as plain text are inside the JWE as well. */
export async function sealResult(
  sealer: Sealer,
  { id, claim, ...result }: RefreshedResult,
  provider: string,
  /** Seconds since 1970, by the clock of the database. */
  sealedAtSeconds: number,
): Promise<SealedResultMessage> {
  const grant = createHash('sha256').update(result.usedToken).digest('hex');
  const sealed = await sealer.seal(JSON.stringify({ ...result, sealedAtSeconds }), {
    integrationId: id,
    column: 'result',
  });
  return { version: 1, integrationId: id, claim, grant, provider, sealed };
}

export type OpenedResult =
  | { readonly ok: true; readonly result: RefreshedResult; readonly sealedAtSeconds: number }
  /** `problem` is for operators, and says nothing of what is sealed. */
  | { readonly ok: false; readonly problem: string };

/** Opens a message. `nowSeconds`: by the clock of the database. */
export async function openResult(
  sealer: Sealer,
  { integrationId, claim, sealed }: SealedResultMessage,
  nowSeconds: number,
): Promise<OpenedResult> {
  // What is not sealed would open as plain text, and anybody could have sent it.
  if (sealedKeyId(sealed) === null) return { ok: false, problem: 'it is not sealed' };
  const opened = await sealer.open(sealed, { integrationId, column: 'result' });
  if (!opened.ok) {
    const problem =
      opened.reason === 'unknown_key'
        ? `put the key with the id ${opened.keyId} back into the token key secret, under "previous", and replay it`
        : 'it is not what was sealed';
    return { ok: false, problem };
  }
  const parsed = contents.safeParse(parsedJson(opened.token));
  if (!parsed.success) return { ok: false, problem: 'another version of Evergrant has sealed it' };
  const { sealedAtSeconds, expiresInSeconds, refreshTokenExpiresInSeconds: lasts, ...result } = parsed.data;
  const ageSeconds = Math.max(0, nowSeconds - sealedAtSeconds);
  return {
    ok: true,
    sealedAtSeconds,
    result: {
      ...result,
      id: integrationId,
      claim,
      expiresInSeconds: expiresInSeconds - ageSeconds,
      refreshTokenExpiresInSeconds: lasts === null ? null : lasts - ageSeconds,
    },
  };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
