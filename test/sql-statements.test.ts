// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the sources that are read hold templates
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { builtStatements } from './support/built-statements.ts';

const root = join(import.meta.dirname, '..');

describe('no statement is built from values', () => {
  it('in what runs: each is written in the source, and values travel as parameters', () => {
    const isLookedAt = (file: string) => /^(lambdas|cli|bin|lib)\//.test(file);
    const { calls, built } = builtStatements(root, join(root, 'tsconfig.json'), isLookedAt);
    expect(built).toEqual([]);
    expect(calls).toBeGreaterThan(50);
  });

  it('each file of lambdas/postgres that talks to the database does so by `query`', () => {
    const folder = join(root, 'lambdas/postgres');
    for (const file of readdirSync(folder)) {
      const text = readFileSync(join(folder, file), 'utf8');
      // Other ways of pg to run a text: a Query object, a cursor, COPY.
      expect(text, file).not.toMatch(/new (pg\.)?(Query|Cursor)\b|copyFrom|pg-cursor|pg-query-stream/);
    }
  });
});

describe('the reader of statements', () => {
  const read = (source: string) => {
    const folder = mkdtempSync(join(tmpdir(), 'evergrant-statements-'));
    try {
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: { module: 'nodenext', target: 'esnext', noEmit: true, types: [] },
          include: ['*.ts'],
        }),
      );
      writeFileSync(
        join(folder, 'other.ts'),
        `export const columns = 'id, provider';
         export let changing = 'id';
         export const column = (alias: string) => \`\${alias}.id\`;`,
      );
      writeFileSync(
        join(folder, 'a.ts'),
        `import { changing, column, columns } from './other.js';
         declare const database: { query(text: unknown, values?: unknown[]): void };
         declare const given: string;
         ${source}
         export { changing, column, columns, database, given };`,
      );
      const { calls, built } = builtStatements(folder, join(folder, 'tsconfig.json'), () => true);
      return { calls, built: built.map((each) => each.replace(/^a\.ts:\d+: /, '')) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it.each([
    ["database.query('SELECT 1');"],
    ['const statement = `SELECT ${columns} FROM x`; database.query(statement, [given]);'],
    ['database.query(given ? `SELECT 1` : `SELECT ${columns}` + ` FROM x`);'],
    ["database.query(`SELECT ${column('i')}`);"],
    ['database.query({ text: `SELECT ${columns}`, values: [given] });'],
    [
      'function of(alias = "") { const prefix = alias === "" ? "" : `${alias}.`; return `${prefix}id`; } database.query(`SELECT ${of("i")}`);',
    ],
    [
      'const other = { query(text: string) { database.query(`EXPLAIN ${text}`); } }; other.query("SELECT 1");',
    ],
  ])('takes %s', (source) => {
    const { calls, built } = read(source);
    expect(calls).toBeGreaterThan(0);
    expect(built).toEqual([]);
  });

  it.each([
    ['database.query(`SELECT * FROM x WHERE id = ${given}`);', 'given'],
    ["database.query('SELECT ' + given);", 'given'],
    ['const id = given; database.query(`SELECT ${id}`);', 'id'],
    ['database.query(`SELECT ${column(given)}`);', 'given'],
    ['database.query(`SELECT ${changing} FROM x`);', 'changing'],
    ['database.query({ text: `SELECT ${given}`, values: [] });', 'given'],
    ["database['query'](given);", 'given'],
    ['let statement = "SELECT 1"; database.query(statement);', 'statement'],
    ['function run(text: string) { database.query(text); } run("SELECT 1");', 'text'],
    ['database.query(["SELECT", given].join(" "));', '["SELECT", given].join(" ")'],
    ['database.query(`SELECT ${given.replaceAll("\'", "")}`);', 'given.replaceAll("\'", "")'],
    ['const other = { query(text: string) { database.query(text); } }; other.query(given);', 'given'],
    ['function of(id = given) { return `id = ${id}`; } database.query(`SELECT ${of()}`);', 'of()'],
    ['function of() { return `id = ${given}`; } database.query(`SELECT ${of()}`);', 'of()'],
  ])('finds what is not written in the source in %s', (source, variable) => {
    expect(read(source).built).toEqual([variable]);
  });
});
