import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Ledger } from '../../../local/chaos/ledger.ts';
import { Processes } from '../../../local/chaos/processes.ts';
import { ChaosProvider } from '../../../local/chaos/provider.ts';

const id = '0b7d3f1e-6a58-4c1b-9d2f-1a2b3c4d5e6f';

describe('the fast provider', () => {
  let ledger: Ledger;
  let nowMs: number;
  let providers: ChaosProvider[];

  beforeEach(() => {
    ledger = new Ledger();
    nowMs = 1_000_000;
    providers = [];
  });
  afterEach(() => Promise.all(providers.map((each) => each.stop())));

  async function start(graceMs: number): Promise<ChaosProvider> {
    const provider = new ChaosProvider({
      name: 'p',
      displayName: 'P',
      ledger,
      processes: new Processes(),
      nowMs: () => nowMs,
      graceMs,
      accessTokenSeconds: () => 60,
      fault: () => null,
      kill: () => undefined,
      onAnswered: () => undefined,
    });
    await provider.start();
    providers.push(provider);
    return provider;
  }

  const last = () => ledger.calls.at(-1);

  it('rotates, and ends the grant when a spent token comes again', async () => {
    const provider = await start(0);
    const { grant, refreshToken } = provider.connect(id);
    expect(await provider.tries(refreshToken)).toBe(true);
    expect(last()).toMatchObject({ answer: 'refreshed', reuse: false, grant, overlaps: null });
    const successor = [...ledger.secrets].findLast(
      (text) => ledger.token(text)?.issuedBy === last(),
    ) as string;
    expect(await provider.tries(refreshToken)).toBe(false);
    expect(last()).toMatchObject({ answer: 'refused', reuse: true });
    expect(await provider.tries(successor)).toBe(false);
    expect(last()).toMatchObject({ answer: 'refused', reuse: false });
  });

  it('takes a spent token within the grace, and not after it', async () => {
    const provider = await start(60_000);
    const { refreshToken } = provider.connect(id);
    expect(await provider.tries(refreshToken)).toBe(true);
    nowMs += 59_999;
    expect(await provider.tries(refreshToken)).toBe(true);
    expect(last()?.reuse).toBe(false);
    nowMs += 1;
    expect(await provider.tries(refreshToken)).toBe(false);
    expect(last()?.reuse).toBe(true);
  });

  it('refuses what its user has taken back, and what it never gave', async () => {
    const provider = await start(0);
    const { grant, refreshToken } = provider.connect(id);
    grant.revokedByUser = true;
    expect(await provider.tries(refreshToken)).toBe(false);
    expect(last()).toMatchObject({ answer: 'refused', reuse: false });
    expect(await provider.tries('never given')).toBe(false);
    expect(last()).toMatchObject({ answer: 'refused', grant: null });
  });
});
