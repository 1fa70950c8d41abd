import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GroupCommit } from '../../../lambdas/refresher/group-commit.ts';

/** A write that ends when the test says. */
function controlledWrite() {
  const groups: string[][] = [];
  const endings: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const write = async (items: readonly string[]) => {
    groups.push([...items]);
    await new Promise<void>((resolve, reject) => endings.push({ resolve, reject }));
    return items.map((item) => item.toUpperCase());
  };
  const end = async (error?: Error) => {
    const ending = endings.shift();
    if (error) ending?.reject(error);
    else ending?.resolve();
    await turn();
  };
  return { groups, write, end };
}

const never = { mustSplit: () => false };

describe('a group commit', () => {
  it('writes a lone item at once', async () => {
    const { groups, write, end } = controlledWrite();
    const commit = new GroupCommit(write, never);
    const a = commit.commit('a');
    expect(groups).toEqual([['a']]);
    await end();
    expect(await a).toBe('A');
  });

  it('gathers what arrives during a write for the next one, in order', async () => {
    const { groups, write, end } = controlledWrite();
    const commit = new GroupCommit(write, never);
    const all = ['a', 'b', 'c', 'd'].map((item) => commit.commit(item));
    await end();
    expect(groups).toEqual([['a'], ['b', 'c', 'd']]);
    const late = commit.commit('e');
    await end();
    expect(groups).toEqual([['a'], ['b', 'c', 'd'], ['e']]);
    await end();
    expect(await Promise.all([...all, late])).toEqual(['A', 'B', 'C', 'D', 'E']);
  });

  it('writes one group at a time', async () => {
    let writing = 0;
    let most = 0;
    const commit = new GroupCommit(async (items: readonly number[]) => {
      writing += 1;
      most = Math.max(most, writing);
      await sleep(1);
      writing -= 1;
      return items;
    }, never);
    await Promise.all(Array.from({ length: 30 }, (_, i) => commit.commit(i)));
    expect(most).toBe(1);
  });

  it('writes no more than the largest group at once', async () => {
    const { groups, write, end } = controlledWrite();
    const commit = new GroupCommit(write, { ...never, maxGroup: 2 });
    const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((item) => commit.commit(item));
    for (let i = 0; i < 4; i += 1) await end();
    await Promise.all(all);
    expect(groups).toEqual([['a'], ['b', 'c'], ['d', 'e'], ['f']]);
  });

  it('tells everybody of a group about an error that is nobody’s own, and goes on', async () => {
    const { write, end } = controlledWrite();
    const commit = new GroupCommit(write, never);
    const first = commit.commit('a');
    const rest = Promise.allSettled(['b', 'c'].map((item) => commit.commit(item)));
    await end();
    await end(new Error('away'));
    expect(await first).toBe('A');
    expect((await rest).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const next = commit.commit('d');
    await end();
    expect(await next).toBe('D');
  });

  it('isolates an item that no write takes: only it fails, and nobody is written twice', async () => {
    const written: string[] = [];
    const commit = new GroupCommit(
      async (items: readonly string[]) => {
        await turn();
        if (items.includes('poison')) throw new Error('refused');
        written.push(...items);
        return items;
      },
      { mustSplit: (error) => (error as Error).message === 'refused' },
    );
    const items = ['a', 'b', 'poison', 'c'];
    const settled = await Promise.allSettled(items.map((item) => commit.commit(item)));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(written.toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('finds such an item by halves', async () => {
    let writes = 0;
    const commit = new GroupCommit(
      async (items: readonly number[]) => {
        writes += 1;
        await turn();
        if (items.includes(123)) throw new Error('refused');
        return items;
      },
      { mustSplit: () => true },
    );
    const settled = await Promise.allSettled(Array.from({ length: 200 }, (_, item) => commit.commit(item)));
    expect(settled.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([123]);
    // One for the first, which was alone, one for the others, and two for each halving of 199.
    expect(writes).toBeLessThanOrEqual(2 + 2 * Math.ceil(Math.log2(199)));
  });

  it('does not try an item alone again that was alone already', async () => {
    let writes = 0;
    const commit = new GroupCommit(
      async () => {
        writes += 1;
        throw new Error('refused');
      },
      { mustSplit: () => true },
    );
    await expect(commit.commit('a')).rejects.toThrow('refused');
    expect(writes).toBe(1);
  });

  it('gives each item the result of its own write, whatever the timing', async () => {
    const member = fc.record({
      waitTurns: fc.nat({ max: 4 }),
      poison: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(member, { minLength: 1, maxLength: 25 }),
        fc.array(fc.nat({ max: 3 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 6 }),
        async (members, writeTurns, maxGroup) => {
          let writes = 0;
          const taken: number[] = [];
          const commit = new GroupCommit(
            async (items: readonly number[]) => {
              for (let i = writeTurns[writes++ % writeTurns.length]!; i > 0; i -= 1) await turn();
              expect(items.length).toBeLessThanOrEqual(maxGroup);
              if (items.some((item) => members[item]!.poison)) throw new Error('refused');
              taken.push(...items);
              return items.map((item) => `result ${item}`);
            },
            { mustSplit: () => true, maxGroup },
          );
          const settled = await Promise.allSettled(
            members.map(async ({ waitTurns }, index) => {
              for (let i = waitTurns; i > 0; i -= 1) await turn();
              return commit.commit(index);
            }),
          );
          for (const [index, outcome] of settled.entries()) {
            if (members[index]!.poison) expect(outcome.status).toBe('rejected');
            else expect(outcome).toEqual({ status: 'fulfilled', value: `result ${index}` });
          }
          expect(new Set(taken).size).toBe(taken.length);
        },
      ),
      { numRuns: 60 },
    );
  });
});
