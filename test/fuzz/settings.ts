import fc from 'fast-check';

/** `FUZZ_SEED=… npm exec -- vitest run test/fuzz` repeats what another run has found. */
const seed = Number(process.env.FUZZ_SEED ?? 20_251_117);

/** `FUZZ_RUNS=50 …` makes fifty times as many runs. */
const factor = Number(process.env.FUZZ_RUNS ?? 1);

if (!Number.isInteger(seed)) throw new Error('FUZZ_SEED must be a whole number');
if (!(factor > 0))
  throw new Error('FUZZ_RUNS must be a number above 0: how many times as many runs are made');

/** The options of `fc.assert` for so many runs, unless somebody wants more. */
export function runs(usual: number): { readonly seed: number; readonly numRuns: number } {
  return { seed, numRuns: Math.ceil(usual * factor) };
}

/** The same where a run takes so long that nobody would wait for a smaller example of what it found. */
export function longRuns(usual: number): ReturnType<typeof runs> & { readonly endOnFailure: true } {
  return { ...runs(usual), endOnFailure: true };
}

/** Behind the name of a suite, so that every report says how to repeat it. */
export const seeded = `(FUZZ_SEED=${seed}${factor === 1 ? '' : ` FUZZ_RUNS=${factor}`})`;

/** For a test that makes runs: as long as it needs. */
export const timeoutMs = 240_000 * Math.max(1, factor);

/** Stands in everything that must not be told. No word of ours contains it. */
export const canary = 'c4n4ry';

/** Strings as attackers and accidents write them, short and long, with a canary inside or not. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '\u{feff}',
    '\ud800',
    '\u202e',
    '\r\n',
    '%',
    '%00',
    '..',
    '__proto__',
    'constructor',
    'toString',
    'null',
    'NaN',
    '-1',
    '1e999',
    "'; DROP TABLE integrations; --",
    '{x}',
    'ü🦀',
  ),
  fc.integer({ min: 200, max: 20_000 }).map((length) => 'x'.repeat(length)),
);

/** Any value that JSON can carry, odd numbers and names included. */
export const json: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue() },
  text,
  fc.constantFrom(
    null,
    true,
    false,
    0,
    -0,
    -1,
    0.5,
    1e308,
    Number.MAX_SAFE_INTEGER,
    1e21,
    [],
    {},
    [[]],
    [''],
  ),
  fc.array(fc.oneof(fc.integer(), text), { maxLength: 3 }),
  fc.dictionary(text, fc.oneof(fc.integer(), text), { maxKeys: 3 }),
);

/** JSON text that is nested so deep that recursion would not survive it. */
export const deepJson: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom('[', '{"a":'), fc.integer({ min: 1_000, max: 50_000 }), fc.boolean())
  .map(([opening, depth, isWhole]) =>
    isWhole
      ? `${opening.repeat(depth)}1${(opening === '[' ? ']' : '}').repeat(depth)}`
      : opening.repeat(depth),
  );
