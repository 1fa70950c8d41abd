import { countTokenHeads } from '../postgres/count-token-heads.ts';
import type { Database } from '../postgres/database.ts';
import { sealedHead, sealedKeyId } from '../sealing/sealed-head.ts';
import type { KeysReport } from './reports.ts';

/** Which keys the stored tokens are sealed with, the most used first: a key that none uses may be taken out. */
export async function keys(database: Database): Promise<KeysReport> {
  const counts = new Map<string, number>();
  let plain = 0;
  for (const { head, tokens } of await countTokenHeads(database, sealedHead)) {
    const keyId = sealedKeyId(head);
    if (keyId === null) plain += tokens;
    else counts.set(keyId, (counts.get(keyId) ?? 0) + tokens);
  }
  const sorted = [...counts].sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || (a < b ? -1 : 1));
  return { keys: sorted.map(([keyId, tokens]) => ({ keyId, tokens })), plain };
}
