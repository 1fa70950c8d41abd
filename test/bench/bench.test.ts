import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify, styleText } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  figureOf,
  type Measure,
  type MeasureContext,
  type Outcome,
  ratioOf,
  sideBySide,
} from '../../bench/speed/measure.ts';
import { measures } from '../../bench/speed/measures.ts';
import { readOptions, UsageError } from '../../bench/speed/options.ts';
import { documentOf, isMet, lineOf, type Taken, tableOf } from '../../bench/speed/render.ts';
import { percentile } from '../../bench/speed/tail.ts';
import { takeAll } from '../../bench/speed/take.ts';
import { refreshBatchSize } from '../../lib/timing.ts';

const root = path.join(import.meta.dirname, '..', '..');

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line of the bench, without colours and outside of any terminal. */
async function bench(...given: string[]): Promise<Ended> {
  try {
    const ended = await promisify(execFile)(process.execPath, ['bench/bench.ts', ...given], { cwd: root });
    return { code: 0, ...ended };
  } catch (error) {
    return error as Ended;
  }
}

function measure(name: string, of: Partial<Measure> = {}): Measure {
  return {
    name,
    key: `${name}Key`,
    what: `what ${name} says`,
    unit: '',
    goal: null,
    run: () => Promise.reject(new Error('not run here')),
    ...of,
  };
}

describe('the arguments', () => {
  const known = [measure('refresh'), measure('memory'), measure('tail')];
  const namesOf = (...given: string[]) => readOptions(given, known)?.chosen.map(({ name }) => name);

  it('are all measures in full by default', () => {
    expect(readOptions([], known)).toEqual({ chosen: known, quick: false, json: false });
  });

  it('choose measures one after another or with commas, and the order stays', () => {
    expect(namesOf('--only', 'tail', 'refresh')).toEqual(['refresh', 'tail']);
    expect(namesOf('--only', 'tail,refresh', '--quick')).toEqual(['refresh', 'tail']);
    expect(namesOf('--only', 'tail', '--only', 'memory')).toEqual(['memory', 'tail']);
  });

  it('ask for help, whatever else they say', () => {
    expect(readOptions(['--help'], known)).toBeNull();
    expect(readOptions(['-h', 'nonsense'], known)).toBeNull();
  });

  it.each([
    [['tail'], '"tail" is no option; to choose measures: --only tail'],
    [
      ['--only', 'memroy'],
      '--only: there is no measure "memroy". Did you mean memory? There are refresh, memory, tail.',
    ],
    [['--only', 'xyz'], '--only: there is no measure "xyz". There are refresh, memory, tail.'],
    [['--only'], "Option '--only <value>' argument missing"],
    [['--fast'], "Unknown option '--fast'"],
    [['--quick=yes'], "Option '--quick' does not take an argument"],
  ])('%j are refused with the fix', (given, message) => {
    expect(() => readOptions(given, known)).toThrow(UsageError);
    expect(() => readOptions(given, known)).toThrow(message);
  });
});

describe('the command line', { timeout: 120_000 }, () => {
  it('tells what there is', async () => {
    const { code, stdout, stderr } = await bench('--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { name } of measures) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
    expect(stdout).toContain('Exit codes: 0 ');
  });

  it('refuses wrong usage with 2, before anything starts', async () => {
    const { code, stdout, stderr } = await bench('--only', 'memroy');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /^--only: there is no measure "memroy"\. Did you mean memory\?.*\nTry: npm run bench -- --help\n$/,
    );
  });

  it.runIf(process.platform === 'linux')(
    'counts the statements of a refresh and its connections, and goes all the way from a scan to the last commit',
    async () => {
      const { code, stdout } = await bench(
        '--quick',
        '--json',
        '--only',
        'statements,connections,end-to-end',
      );
      expect(code).toBe(0);
      const document = JSON.parse(stdout);
      expect(Object.keys(document)).toEqual([
        'statementsPerRefresh',
        'connections',
        'endToEndVsFloor',
        'machine',
        'measures',
        'failed',
      ]);
      expect(document.machine).toMatchObject({ node: process.version, cores: expect.any(Number) });
      expect(document.measures[0]).toMatchObject({
        name: 'statements',
        key: 'statementsPerRefresh',
        value: document.statementsPerRefresh,
        spread: null,
        goal: { atMost: 0.1 },
        met: true,
        facts: { providerAnsweringIn0Ms: { refreshes: 5 * refreshBatchSize, batches: 5 } },
      });
      // Start, one commit and what came of it: with fewer, something is not counted.
      expect(document.statementsPerRefresh).toBeGreaterThanOrEqual(3 / refreshBatchSize);
      expect(document.connections).toBe(1);
      // Scanned, fed by the queue and stored: it ends when nothing is left.
      expect(document.measures[2]).toMatchObject({ facts: { integrations: 2_000 } });
      expect(document.endToEndVsFloor).toBeGreaterThan(0);
    },
  );
});

describe('every measure', () => {
  it('has a name and a key of its own', () => {
    for (const of of [({ name }: Measure) => name, ({ key }: Measure) => key]) {
      expect(new Set(measures.map(of)).size).toBe(measures.length);
    }
  });

  it('is named by a word for --only', () => {
    expect(measures.map(({ name }) => name).filter((name) => !/^[a-z][a-z-]*$/.test(name))).toEqual([]);
  });
});

describe('figures', () => {
  it('are medians, with the least and the most', () => {
    expect(figureOf([3, 1, 10])).toEqual({ value: 3, spread: [1, 10] });
    expect(figureOf([4, 1, 2, 10])).toEqual({ value: 3, spread: [1, 10] });
    expect(figureOf([5])).toEqual({ value: 5, spread: [5, 5] });
    expect(figureOf([])).toEqual({ value: Number.NaN, spread: null });
  });

  it('are ratios pair by pair', () => {
    expect(ratioOf([10, 30, 20], [5, 10, 20])).toEqual({ value: 2, spread: [1, 3] });
  });

  it('are of both sides in turn', async () => {
    const order: string[] = [];
    const side = (name: string) => async () => order.push(name);
    expect(await sideBySide(2, side('ours'), side('reference'))).toEqual({ ours: [2, 4], reference: [1, 3] });
    expect(order).toEqual(['reference', 'ours', 'reference', 'ours']);
  });

  it('of a tail are values that were met', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([percentile(hundred, 0.99), percentile(hundred, 0.5), percentile([7], 0.99)]).toEqual([99, 50, 7]);
  });

  it('meet a goal or miss it', () => {
    expect([isMet({ atLeast: 2 }, 2), isMet({ atLeast: 2 }, 1.99)]).toEqual([true, false]);
    expect([isMet({ atMost: 2 }, 2), isMet({ atMost: 2 }, 2.01)]).toEqual([true, false]);
    expect([isMet({ atMost: 2 }, Number.NaN), isMet(null, 1)]).toEqual([false, null]);
  });
});

const machine = { cpu: 'a CPU', cores: 2, node: 'v24.0.0', date: '2026-01-02' };
const outcome = (value: number, of: Partial<Outcome> = {}): Outcome => ({
  value,
  spread: null,
  facts: {},
  ...of,
});
const taken: readonly Taken[] = [
  {
    measure: measure('refresh', { unit: '×', goal: { atLeast: 0.6 } }),
    outcome: outcome(0.71234, {
      spread: [0.65, 0.75],
      facts: { refreshesPerCpuSecond: [1214, 1294.4], provider: { answeringIn150Ms: { batchMs: 211 } } },
    }),
  },
  { measure: measure('memory', { unit: 'MB', goal: { atMost: 160 } }), outcome: outcome(243.2) },
  { measure: measure('cost', { unit: '$' }), outcome: outcome(0.6935) },
];

describe('the table', () => {
  const plain = { width: 60, styled: (_: string, text: string) => text };

  it('has a line for each figure, then what each is made of, then the machine', () => {
    expect(tableOf(machine, taken, plain)).toBe(`figure        value  least … most  goal
refreshKey  0.712 ×  0.65 … 0.75   at least 0.6  ✓ met
memoryKey    243 MB                at most 160   ✗ missed
costKey     0.694 $

refreshKey: what refresh says
  refreshes per CPU second: 1,214 · 1,294;
  provider: answering in 150 ms (batch ms 211)

memoryKey: what memory says

costKey: what cost says

a CPU, 2 cores, Node v24.0.0, 2026-01-02
`);
  });

  it('is as wide as it may be', () => {
    const facts = { rssMbByTenth: Array.from({ length: 40 }, (_, index) => 100 + index) };
    const lines = tableOf(machine, [{ measure: measure('memory'), outcome: outcome(1, { facts }) }], {
      ...plain,
      width: 50,
    }).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(50);
    expect(lines.filter((line) => line.startsWith('    ')).length).toBeGreaterThan(2);
    expect(lines.join(' ').replaceAll(/ +/g, ' ')).toContain(`RSS MB by tenth: 100 · 101 · `);
  });

  it('stays aligned when it is coloured', () => {
    const coloured = tableOf(machine, taken, {
      ...plain,
      styled: (format, text) => styleText(format, text, { validateStream: false }),
    });
    expect(coloured).toContain('\u001b[32m✓ met');
    expect(coloured).toContain('\u001b[31m✗ missed');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of
    expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(tableOf(machine, taken, plain));
  });
});

it('the document has the figures by their keys, and all that is known of them', () => {
  const document = JSON.parse(
    JSON.stringify(documentOf(machine, taken, [{ measure: measure('tail'), message: 'why' }])),
  );
  expect(document).toMatchObject({ refreshKey: 0.71234, memoryKey: 243.2, costKey: 0.6935, machine });
  expect(document.measures.map(({ met }: { met: boolean | null }) => met)).toEqual([true, false, null]);
  expect(document.measures[0]).toEqual({
    name: 'refresh',
    key: 'refreshKey',
    what: 'what refresh says',
    value: 0.71234,
    unit: '×',
    spread: [0.65, 0.75],
    goal: { atLeast: 0.6 },
    met: true,
    facts: { refreshesPerCpuSecond: [1214, 1294.4], provider: { answeringIn150Ms: { batchMs: 211 } } },
  });
  expect(document.failed).toEqual([{ name: 'tail', key: 'tailKey', message: 'why' }]);
});

it('a figure in a line has its spread, and what it was to be', () => {
  expect(taken.map(lineOf)).toEqual([
    'refreshKey 0.712 × (0.65 … 0.75), at least 0.6: met',
    'memoryKey 243 MB, at most 160: missed',
    'costKey 0.694 $',
  ]);
});

describe('one measure after the other', () => {
  const context = (of: { signal?: AbortSignal; rig?: MeasureContext['rig'] } = {}): MeasureContext => ({
    quick: true,
    onProgress: () => undefined,
    signal: new AbortController().signal,
    rig: () => Promise.reject(new Error('no system here')),
    ...of,
  });
  const names = (of: readonly { readonly measure: Measure }[]) => of.map(({ measure: { name } }) => name);

  it('is taken although one before it fails, and says so', async () => {
    const said: string[] = [];
    const { taken, failed } = await takeAll(
      [
        measure('refresh', { run: async () => outcome(1) }),
        measure('tail', { run: () => Promise.reject(new Error('why')) }),
        measure('memory', { run: async () => outcome(2) }),
      ],
      context(),
      (line) => said.push(line),
    );
    expect([names(taken), names(failed)]).toEqual([['refresh', 'memory'], ['tail']]);
    expect(said).toEqual([
      '… refresh: what refresh says',
      '  refreshKey 1; took 0 s',
      '… tail: what tail says',
      '  tail failed: why',
      '… memory: what memory says',
      '  memoryKey 2; took 0 s',
    ]);
  });

  it('is taken where it needs no system, although that does not start', async () => {
    const needy = measure('refresh', { run: async ({ rig }) => outcome(Object.keys(await rig()).length) });
    const { taken, failed } = await takeAll(
      [needy, measure('cost', { run: async () => outcome(1) })],
      context(),
      () => undefined,
    );
    expect(names(taken)).toEqual(['cost']);
    expect(failed).toEqual([{ measure: needy, message: 'no system here' }]);
  });

  it('keeps what was taken when somebody interrupts', async () => {
    const interruption = new AbortController();
    const { taken, failed } = await takeAll(
      [
        measure('refresh', { run: async () => outcome(1) }),
        measure('tail', {
          run: () => {
            interruption.abort();
            return Promise.reject(new Error('interrupted'));
          },
        }),
        measure('memory', { run: async () => outcome(2) }),
      ],
      context({ signal: interruption.signal }),
      () => undefined,
    );
    expect([names(taken), names(failed)]).toEqual([['refresh'], []]);
  });
});
