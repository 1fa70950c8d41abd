import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderPage } from '../../../bin/providers/page.ts';
import { catalogue } from '../../../lambdas/providers/catalogue.ts';
import { parseProviderClient } from '../../../lambdas/providers/client.ts';

const page = await readFile(path.join(import.meta.dirname, '..', '..', '..', 'docs', 'providers.md'), 'utf8');
const section = (title: string) =>
  page.split(/\n(?=##+ )/).find((each) => each.startsWith(`${title}\n`)) ?? '';
const rowsOf = (text: string) => text.split('\n').filter((line) => line.startsWith('| `'));

describe('docs/providers.md', () => {
  it('is what `npm run providers` writes from the catalogue', () => {
    expect(page, 'run `npm run providers`').toBe(renderPage(catalogue));
  });

  it('has a row for each provider, once', () => {
    const names = [...rowsOf(section('## The catalogue')), ...rowsOf(section('### Without renewal'))].map(
      (row) => /^\| `([\w-]+)` \|/.exec(row)?.[1],
    );
    expect(names.toSorted()).toEqual(Object.keys(catalogue));
  });

  it('links each name to a page', () => {
    const used = [...page.matchAll(/\]\[([\w-]+)\]/g)].map((match) => match[1]);
    const defined = [...page.matchAll(/^\[([\w-]+)\]: https:\/\//gm)].map((match) => match[1]);
    expect(used.toSorted()).toEqual(defined.toSorted());
    expect(used).toHaveLength(Object.keys(catalogue).length);
  });

  it('has headings that its links find', () => {
    const headings = [...page.matchAll(/^##+ (.+)$/gm)].map((match) =>
      (match[1] ?? '').toLowerCase().replaceAll(' ', '-'),
    );
    const targets = [...page.matchAll(/\]\(#([\w-]+)\)/g)].map((match) => match[1]);
    expect(targets.length).toBeGreaterThan(0);
    expect(targets.filter((target) => !headings.includes(target ?? ''))).toEqual([]);
  });

  it('gives examples that can be copied: each is a secret that is taken', () => {
    const examples = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
    expect(examples.length).toBeGreaterThan(5);
    for (const example of examples) {
      // What differs from the catalogue is an example of any provider.
      expect(parseProviderClient('google', example), example).toMatchObject({ ok: true });
    }
  });

  it('gives overrides in the notes that can be copied as well', () => {
    const overrides = Object.entries(catalogue).flatMap(([name, { notes = [] }]) =>
      notes.flatMap((note) =>
        [...note.matchAll(/`("(?:provider|variables)": .*?)`/g)].map(
          (match) => [name, match[1] ?? ''] as const,
        ),
      ),
    );
    expect(overrides.length).toBeGreaterThan(10);
    for (const [name, override] of overrides) {
      const values =
        name === 'keycloak' ? {} : JSON.parse(`{ ${override.replaceAll(/<[^>]+>/g, 'acme.example')} }`);
      const secret = {
        clientId: 'id',
        clientSecret: 'secret',
        variables: { domain: 'acme.example' },
        ...values,
      };
      expect(parseProviderClient(name, JSON.stringify(secret)), `${name}: ${override}`).toMatchObject({
        ok: true,
      });
    }
  });

  it('keeps its prose in lines that can be read', () => {
    const prose = page.split('\n').filter((line) => !/^[|[]|https:|`"/.test(line));
    expect(prose.filter((line) => line.length > 125)).toEqual([]);
  });
});
