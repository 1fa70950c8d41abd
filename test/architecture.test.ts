import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

/** An import: from a file to a file of the project, or to a package. Paths from the project's root. */
interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly kind: 'file' | 'package' | 'builtin';
  readonly typeOnly: boolean;
  /** Loaded when it is needed: `import(…)`. */
  readonly dynamic: boolean;
}

const specifier =
  /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\b(import)\(\s*['"]([^'"]+)['"]/g;

function arrowsOf(file: string): Arrow[] {
  const text = readFileSync(path.join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, '');
  return [...text.matchAll(specifier)].map((match) => {
    const target = match[3] ?? match[5] ?? '';
    const typeOnly = match[2] !== undefined;
    const dynamic = match[4] !== undefined;
    if (target.startsWith('.')) {
      const to = path.relative(root, path.resolve(root, path.dirname(file), target));
      return { from: file, to, kind: 'file', typeOnly, dynamic };
    }
    if (target.startsWith('node:') || builtinModules.includes(target)) {
      return { from: file, to: target, kind: 'builtin', typeOnly, dynamic };
    }
    const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/');
    return { from: file, to: name, kind: 'package', typeOnly, dynamic };
  });
}

const filesIn = (folder: string) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|mts|mjs)$/.test(file) && !file.includes('node_modules'))
    .map((file) => path.join(folder, file));

const lambdas = filesIn('lambdas').flatMap(arrowsOf);
const lib = filesIn('lib').flatMap(arrowsOf);
const bin = filesIn('bin').flatMap(arrowsOf);
const cli = filesIn('cli').flatMap(arrowsOf);

const show = (arrows: readonly Arrow[]) => arrows.map(({ from, to }) => `${from} → ${to}`);
const within = (file: string, folder: string) => file.startsWith(`${folder}/`);
const files = (arrows: readonly Arrow[]) => arrows.filter(({ kind }) => kind === 'file');

const stages = ['scanner', 'refresher', 'notifier', 'migrator', 'operator'];
const adapters = ['postgres', 'sqs', 'secrets', 'sealing', 'providers', 'observability'];

/** What stands at the top of lambdas/: shared by all stages, and knowing none. */
const shared = [
  'contract',
  'schema',
  'zod',
  'aws-credentials',
  'env',
  'handler',
  'invocation-clock',
  'messages',
  'database-access',
  'deadline',
  'measured-database',
  'sealed-result',
  'secret-sealer',
].map((name) => `lambdas/${name}.ts`);

/** Arrows beside the rules; each says why it may be. */
const exceptions: Readonly<Record<string, string>> = {
  'lambdas/secrets/provider-clients.ts → lambdas/providers/client.ts':
    'a provider’s secret holds its definition, which the provider adapter reads',
  'lambdas/secrets/provider-clients.ts → lambdas/providers/catalogue.ts':
    'integrations of an alias are refreshed by the client of the provider that it is one of',
  'lib/timing.ts → lambdas/domain/provider-guards.ts':
    'what has failed is remembered for longer than the longest pause between two attempts, which the domain sets',
  'lib/settings.ts → lambdas/domain/policy.ts': 'the defaults of the policy are promised in one place',
};
const isException = ({ from, to }: Arrow) => `${from} → ${to}` in exceptions;

it('the reader of imports sees them all', () => {
  expect(show(arrowsOf('lambdas/refresher/refresh-batch.ts'))).toEqual(
    expect.arrayContaining([
      'lambdas/refresher/refresh-batch.ts → lambdas/contract.ts',
      'lambdas/refresher/refresh-batch.ts → lambdas/postgres/start-attempts.ts',
    ]),
  );
  expect(lambdas.length).toBeGreaterThan(100);
  expect(lib.length).toBeGreaterThan(20);
});

it('every exception is still needed', () => {
  const all = show([...lambdas, ...lib]);
  expect(Object.keys(exceptions).filter((arrow) => !all.includes(arrow))).toEqual([]);
});

it('every folder of lambdas/ is a stage, an adapter or the domain', () => {
  const folders = readdirSync(path.join(root, 'lambdas'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(folders.toSorted()).toEqual([...stages, ...adapters, 'domain'].toSorted());
});

describe('in lambdas/', () => {
  it('the domain imports nothing but itself: no SDK, no database, not even Node', () => {
    const domain = lambdas.filter(({ from }) => within(from, 'lambdas/domain'));
    expect(show(domain.filter(({ to }) => !within(to, 'lambdas/domain')))).toEqual([]);
  });

  it('the domain reads no clock, no chance and no environment', () => {
    for (const file of filesIn('lambdas/domain')) {
      const text = readFileSync(path.join(root, file), 'utf8');
      expect(text, file).not.toMatch(
        /\bDate\b|Math\.random|\bprocess\.|performance\.|crypto\.|setTimeout|console\./,
      );
    }
  });

  it('the time of day is the database’s or the invocation’s, never this machine’s', () => {
    /** Who reads the machine's clock; each says why. */
    const readers: Readonly<Record<string, string>> = {
      'lambdas/invocation-clock.ts': 'compares it with the deadline, which the service sets',
      'lambdas/operator/server-topics.ts': 'measures how far it is from the database’s',
    };
    const reads =
      /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(|getRemainingTimeInMillis|performance\.timeOrigin/;
    const found = filesIn('lambdas').filter((file) =>
      reads.test(
        readFileSync(path.join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, ''),
      ),
    );
    expect(found.toSorted()).toEqual([...Object.keys(readers), 'lambdas/handler.ts'].toSorted());
    const handlerText = readFileSync(path.join(root, 'lambdas/handler.ts'), 'utf8');
    expect(handlerText.match(new RegExp(reads, 'g'))).toEqual(['getRemainingTimeInMillis']);
  });

  it.each(stages)('the stage %s imports no other stage', (stage) => {
    const others = stages.filter((other) => other !== stage);
    const wrong = lambdas.filter(
      ({ from, to }) =>
        within(from, `lambdas/${stage}`) && others.some((other) => within(to, `lambdas/${other}`)),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('nothing imports a handler: it is an entry', () => {
    const wrong = [...lambdas, ...lib].filter(({ to }) => /^lambdas\/\w+\/handler\.ts$/.test(to));
    expect(show(wrong)).toEqual([]);
  });

  it.each(adapters)('the adapter %s imports only the domain, the contract and the schemas', (adapter) => {
    const wrong = files(lambdas).filter(
      (arrow) =>
        within(arrow.from, `lambdas/${adapter}`) &&
        !within(arrow.to, `lambdas/${adapter}`) &&
        !within(arrow.to, 'lambdas/domain') &&
        !['lambdas/contract.ts', 'lambdas/schema.ts'].includes(arrow.to) &&
        !isException(arrow),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('what all stages share knows none of them', () => {
    const wrong = lambdas.filter(
      ({ from, to }) => shared.includes(from) && stages.some((stage) => within(to, `lambdas/${stage}`)),
    );
    expect(show(wrong)).toEqual([]);
    expect(
      filesIn('lambdas')
        .filter((file) => path.dirname(file) === 'lambdas')
        .toSorted(),
    ).toEqual(shared.toSorted());
  });

  it('the contract imports nothing, so that lib/ gets no SDK with it', () => {
    expect(show(arrowsOf('lambdas/contract.ts'))).toEqual([]);
  });

  it('nothing is imported from outside lambdas/', () => {
    expect(show(files(lambdas).filter(({ to }) => !within(to, 'lambdas')))).toEqual([]);
  });

  it('every package is a dependency, not one for development only', () => {
    const wrong = lambdas.filter(
      ({ kind, to, from }) =>
        kind === 'package' &&
        !(to in manifest.dependencies) &&
        // Types of the Lambda runtime leave nothing behind.
        !(to === 'aws-lambda' && readFileSync(path.join(root, from), 'utf8').includes('import type')),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('`aws-lambda` is imported as types only: there is no such package at run time', () => {
    expect(show(lambdas.filter(({ to, typeOnly }) => to === 'aws-lambda' && !typeOnly))).toEqual([]);
  });

  it.each([
    ['pg', ['lambdas/postgres', 'lambdas/migrator', 'lambdas/observability']],
    ['@aws-sdk/client-sqs', ['lambdas/sqs']],
    ['@aws-sdk/client-secrets-manager', ['lambdas/secrets']],
    ['@aws-sdk/client-sesv2', ['lambdas/notifier/send-email.ts']],
    ['jose', ['lambdas/sealing', 'lambdas/providers/request.ts']],
    ['node-pg-migrate', ['lambdas/migrator']],
  ])('%s is used only where it belongs', (name, places) => {
    const users = lambdas.filter(({ to }) => to === name);
    expect(users.length).toBeGreaterThan(0);
    const wrong = users.filter(({ from }) => !places.some((place) => from === place || within(from, place)));
    expect(show(wrong)).toEqual([]);
  });
});

describe('lambdas/', () => {
  it('judge answers by themselves: an OAuth client would make exceptions of what must be outcomes', () => {
    expect(show(lambdas.filter(({ to }) => to === 'oauth4webapi'))).toEqual([]);
  });
});

describe('lib/', () => {
  it('imports of lambdas/ only the contract', () => {
    const wrong = files(lib).filter(
      (arrow) => within(arrow.to, 'lambdas') && arrow.to !== 'lambdas/contract.ts' && !isException(arrow),
    );
    expect(show(wrong)).toEqual([]);
  });

  it('imports nothing else but itself', () => {
    const wrong = files(lib).filter(({ to }) => !within(to, 'lib') && !within(to, 'lambdas'));
    expect(show(wrong)).toEqual([]);
  });

  it('has no SDK: it defines, and talks to nobody', () => {
    expect(show(lib.filter(({ to }) => to.startsWith('@aws-sdk') || to === 'pg'))).toEqual([]);
  });
});

describe('cli/', () => {
  /** What the functions and the command line share. */
  const open = [
    'lambdas/contract.ts',
    'lambdas/messages.ts',
    'lambdas/operator/reports.ts',
    'lambdas/migrator/migrate.ts',
    'lambdas/postgres/rds-authorities.ts',
    'lambdas/secrets/provider-clients.ts',
  ];
  /** What the functions are asked and answer: types, of which nothing is left at run time. */
  const openAsTypes = ['lambdas/scanner/scan.ts', 'lambdas/migrator/request.ts', 'lambdas/domain/outcome.ts'];

  it('imports of lambdas/ only what the functions share with it', () => {
    const wrong = files(cli).filter(
      ({ to, typeOnly }) =>
        !within(to, 'cli') &&
        !within(to, 'lambdas/sealing') &&
        !within(to, 'lambdas/providers') &&
        !open.includes(to) &&
        !(typeOnly && openAsTypes.includes(to)),
    );
    expect(show(wrong)).toEqual([]);
    expect(cli.length).toBeGreaterThan(50);
  });

  it('knows the operator function by its types only', () => {
    expect(show(cli.filter(({ to, typeOnly }) => within(to, 'lambdas/operator') && !typeOnly))).toEqual([]);
  });

  it('every package is a dependency, and none but the AWS SDK and the OAuth client', () => {
    const packages = [...new Set(cli.filter(({ kind }) => kind === 'package').map(({ to }) => to))];
    expect(packages.filter((name) => !(name in manifest.dependencies))).toEqual([]);
    expect(packages.filter((name) => !name.startsWith('@aws-sdk/'))).toEqual(['oauth4webapi']);
  });

  it('is imported by bin/ only', () => {
    const others = ['lambdas', 'lib', 'local'].flatMap(filesIn).flatMap(arrowsOf);
    expect(show(others.filter(({ to }) => within(to, 'cli')))).toEqual([]);
    expect(bin.filter(({ to }) => within(to, 'cli')).length).toBeGreaterThan(0);
  });

  it('loads no SDK before a command needs it: help and wrong usage are answered at once', () => {
    const reached = new Set<string>();
    const visit = (file: string) => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const arrow of cli) {
        if (arrow.from === file && arrow.kind === 'file' && !arrow.typeOnly && !arrow.dynamic)
          visit(arrow.to);
      }
    };
    visit('cli/main.ts');
    visit('cli/commands.ts');
    const eager = cli.filter(
      ({ from, kind, typeOnly, dynamic }) => reached.has(from) && kind === 'package' && !typeOnly && !dynamic,
    );
    expect(show(eager)).toEqual([]);
    expect(reached.size).toBeGreaterThan(10);
  });
});

describe('everything else', () => {
  it('is imported by neither lambdas/ nor lib/', () => {
    const wrong = files([...lambdas, ...lib]).filter(({ to }) => /^(bin|cli|local|bench|test)\//.test(to));
    expect(show(wrong)).toEqual([]);
  });

  it('nothing imports bin/ but its own', () => {
    const others = ['lambdas', 'lib', 'local'].flatMap(filesIn).flatMap(arrowsOf);
    expect(show(others.filter(({ to }) => within(to, 'bin')))).toEqual([]);
    expect(bin.length).toBeGreaterThan(0);
  });

  it('what judges permissions is pure: it imports nothing but itself and the type of JSON', () => {
    const judging = ['conditions', 'evaluate', 'policy', 'wildcard'].map(
      (name) => `local/cloud/iam/${name}.ts`,
    );
    const wrong = judging
      .flatMap(arrowsOf)
      .filter(({ to }) => !judging.includes(to) && to !== 'local/cloud/json.ts');
    expect(show(wrong)).toEqual([]);
  });

  it('the dialects of providers are written down for themselves: they know nothing of the catalogue', () => {
    const dialects = filesIn('local/dialects');
    expect(show(files(dialects.flatMap(arrowsOf)).filter(({ to }) => !within(to, 'local/dialects')))).toEqual(
      [],
    );
    expect(dialects.length).toBeGreaterThan(0);
  });

  it('nothing imports bench/ but its own', () => {
    const others = ['lambdas', 'lib', 'local', 'bin', 'cli'].flatMap(filesIn).flatMap(arrowsOf);
    expect(show(others.filter(({ to }) => within(to, 'bench')))).toEqual([]);
    expect(filesIn('bench').length).toBeGreaterThan(0);
  });

  it('local/ imports nothing of test/ or bench/', () => {
    const wrong = filesIn('local').flatMap(arrowsOf);
    expect(show(wrong.filter(({ to }) => /^(test|bench)\//.test(to)))).toEqual([]);
  });
});
