import type { MigrationReport } from '../../lambdas/migrator/migrate.ts';
import { type Command, type CommandContext, UsageError } from '../command.ts';
import { counted, listed } from '../words.ts';
import type { Migrator } from './migrator.ts';

const where = `  evergrant migrate … --stack NAME      through the migrator function of a deployed stack
  evergrant migrate … --local           in the database of npm start
  evergrant migrate … --direct          from this machine, in the database of DATABASE_URL`;

const directHelp = `  --direct       connect from this machine instead of invoking the function, to the postgres://
                 URL in the environment variable DATABASE_URL, so that its password is in no shell
                 history. It must lead to Postgres itself, or to a pooler in session mode. TLS is
                 verified, unless the URL says sslmode=disable
  --ca FILE      with --direct: PEM certificates of the authority to trust, if Node knows it not`;

const directOptions = { direct: { type: 'boolean' }, ca: { type: 'string' } } as const;

const up: Command = {
  name: 'migrate up',
  summary: 'bring the database to the schema of this version',
  help: `Runs the migrations that are not in force yet, one by one, as a deployment does. Tables that exist
are only added to.

Usage
${where.replaceAll('…', 'up')}

Examples
  evergrant migrate up
  read -rs DATABASE_URL && export DATABASE_URL && evergrant migrate up --direct
  evergrant migrate up --count 1

Options
  --count COUNT  at most so many; all by default
${directHelp}

Exit codes
  0 all of it ran   1 a migration failed; mend the cause and run it again`,
  options: { count: { type: 'string' }, ...directOptions },
  async run(context) {
    const count = readCount(context.options.count);
    const migrator = await openMigrator(context);
    context.output.progress(`migrating ${migrator.place}`);
    const report = await migrator.run({ direction: 'up', count });
    context.output.document(report);
    for (const line of renderMigrations(report)) context.output.line(line);
    return 0;
  },
};

const down: Command = {
  name: 'migrate down',
  summary: 'take the latest migration back, or the latest few',
  help: `Takes migrations back, the latest first. No row is lost: notifications of newer types become
"system", the outbox is put aside, and going up again brings both back. The functions of this
version do not work on an older schema.

Usage
${where.replaceAll('…', 'down')}

Examples
  evergrant migrate down                 take the latest back, after a question
  evergrant migrate down --count 2 --yes

Options
  --count COUNT  how many; 1 by default
  --yes          do not ask
${directHelp}

Exit codes
  0 done   1 a migration failed, or the question was answered with no`,
  options: { count: { type: 'string' }, yes: { type: 'boolean' }, ...directOptions },
  async run(context) {
    const { options, output } = context;
    const count = readCount(options.count);
    const migrator = await openMigrator(context);
    output.progress(`looking at ${migrator.place}`);
    const present = await migrator.run({ direction: 'status', count: null });
    const concerned = present.applied.slice(-(count ?? 1)).toReversed();
    if (concerned.length === 0) {
      output.document({ ...present, direction: 'down' });
      output.line('Nothing to take back: no migration is in force.');
      return 0;
    }
    if (options.yes !== true) {
      const question = `Take back ${listed(concerned)} in ${migrator.place}?`;
      if (!(await output.confirm(question))) {
        output.document({ error: { code: 'declined', message: 'Nothing was changed.' } });
        output.line('Nothing was changed.');
        return 1;
      }
    }
    output.progress(`taking back ${listed(concerned)}`);
    const report = await migrator.run({ direction: 'down', count });
    output.document(report);
    for (const line of renderMigrations(report)) output.line(line);
    return 0;
  },
};

const status: Command = {
  name: 'migrate status',
  summary: 'which migrations are in force',
  help: `Lists the migrations of this version, and which of them are in force. It changes nothing.

Usage
${where.replaceAll('…', 'status')}

Examples
  evergrant migrate status
  evergrant migrate status --json | jq -r '.pending[]'

Options
${directHelp}

Exit codes
  0 found   1 the database could not be asked`,
  options: directOptions,
  async run(context) {
    const migrator = await openMigrator(context);
    context.output.progress(`looking at ${migrator.place}`);
    const report = await migrator.run({ direction: 'status', count: null });
    context.output.document(report);
    for (const line of renderMigrations(report)) context.output.line(line);
    return 0;
  },
};

export const migrateCommands: readonly Command[] = [up, down, status];

/** What the `migrate` commands print for people. */
export function renderMigrations({ direction, ran, applied, pending }: MigrationReport): string[] {
  if (direction === 'status') {
    return [
      ...applied.map((name) => `✓ ${name}`),
      ...pending.map((name) => `· ${name}  not in force`),
      '',
      pending.length === 0
        ? `All ${counted(applied.length, 'migration')} are in force.`
        : `${counted(pending.length, 'migration')} not in force: evergrant migrate up runs ${pending.length === 1 ? 'it' : 'them'}.`,
    ];
  }
  const now = `${applied.length} in force, ${pending.length} not`;
  if (ran.length === 0) return [`Nothing to do: ${now}.`];
  return [
    ...ran.map((name) => `${direction === 'up' ? '✓' : '↩'} ${name}`),
    '',
    `${counted(ran.length, 'migration')} ${direction === 'up' ? 'run' : 'taken back'}; ${now}.`,
  ];
}

function readCount(given: CommandContext['options'][string]): number | null {
  if (given === undefined) return null;
  if (typeof given === 'string' && /^[1-9]\d{0,3}$/.test(given)) return Number(given);
  throw new UsageError('--count must be a whole number, 1 or more.');
}

async function openMigrator({ options, target }: CommandContext): Promise<Migrator> {
  const { directMigrator, functionMigrator } = await import('./migrator.ts');
  const { direct, ca, stack, local } = options as {
    direct?: boolean;
    ca?: string;
    stack?: string;
    local?: boolean;
  };
  if (direct) {
    if (stack !== undefined || local) {
      throw new UsageError('--direct goes to the database in DATABASE_URL; leave out --stack and --local.');
    }
    return directMigrator(process.env.DATABASE_URL, ca);
  }
  if (ca !== undefined) throw new UsageError('--ca goes with --direct.');
  return functionMigrator(await target());
}
