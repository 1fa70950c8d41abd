import { type Database, sqlState } from '../postgres/database.ts';
import { type ColumnFacts, describeColumns } from '../postgres/describe-columns.ts';
import { describeRelations, type RelationFacts } from '../postgres/describe-relations.ts';
import type { ServerFacts } from '../postgres/describe-server.ts';
import { listAppliedMigrations } from '../postgres/list-applied-migrations.ts';
import { type CheckFacts, listChecks } from '../postgres/list-checks.ts';
import { type IndexFacts, listIndexes } from '../postgres/list-indexes.ts';
import { listRequiredColumns } from '../postgres/list-required-columns.ts';
import { planning } from '../postgres/planning.ts';
import {
  type NeededColumn,
  type NeededIndex,
  neededColumns,
  neededIndexes,
  neededRelations,
  ownSchema,
  privilegeNames,
  prunedRelations,
  usersView,
} from './needed-schema.ts';
import { notificationTypes, plannedStatements } from './planned-statements.ts';
import { type Finding, failed, identifier, ok, runMigrator, type Topic, warning } from './topic.ts';

/** About tables and views, and what our role may do with them. */
export const schemaTopics: readonly Topic[] = [
  {
    code: 'schema_version',
    title: 'The migrations of this version have run',
    look: async ({ database, migrations }) => {
      const wanted = await migrations();
      const applied = await listAppliedMigrations(database);
      const pending = wanted.filter((name) => !applied.includes(name));
      const unknown = applied.filter((name) => !wanted.includes(name));
      if (pending.length > 0) {
        return failed(
          `Not in force: ${pending.join(', ')}.`,
          `${runMigrator}; its answer says what hinders it.`,
        );
      }
      return unknown.length > 0
        ? warning(
            `The database is of a newer version, with ${unknown.join(', ')}.`,
            'Deploy the newer version again, or let its migrator go down before this one is used.',
          )
        : ok(`All ${wanted.length}, the latest: ${wanted.at(-1)}.`);
    },
  },
  {
    code: 'tables',
    title: 'Tables and views are there',
    look: async ({ database }, server) => {
      const relations = await describeRelations(database, neededRelations);
      return faultsOr(
        relations.flatMap((relation) => relationFaults(relation, server)),
        `${neededRelations.join(', ')}.`,
      );
    },
  },
  {
    code: 'columns',
    title: 'Columns are there, and of the right type',
    look: async ({ database }) => {
      const facts = await describeColumns(database, neededColumns);
      return faultsOr(
        [...missingColumns(facts), ...neededColumns.flatMap((column) => columnFaults(column, facts))],
        `${neededColumns.length} columns.`,
      );
    },
  },
  {
    code: 'notification_types',
    title: 'Notifications may be of our types',
    look: async ({ database }) => {
      const checks = await listChecks(database, { relation: 'notifications', name: 'type' });
      return faultsOr(checks.flatMap(typeFaults), `${notificationTypes.join(', ')}.`);
    },
  },
  {
    code: 'notification_columns',
    title: 'Notifications need no column that Evergrant does not fill',
    look: async ({ database }) => {
      const filled = neededColumns
        .filter(({ relation, privileges }) => relation === 'notifications' && privileges.includes('a'))
        .map(({ name }) => name);
      const required = await listRequiredColumns(database, 'notifications');
      return faultsOr(
        required
          .filter(({ name }) => !filled.includes(name))
          .map(({ name, type }) =>
            failed(
              `notifications.${name} may not be null and has no default: no notification can be written.`,
              `Give the column a default: ALTER TABLE notifications ALTER COLUMN ${identifier(name)} SET DEFAULT ${type === 'uuid' ? 'gen_random_uuid()' : '…'}.`,
            ),
          ),
        'Every other column has a default or may be null.',
      );
    },
  },
  {
    code: 'indexes',
    title: 'Indexes are there, and valid',
    look: async ({ database }) => {
      const relations = await presentRelations(database);
      const indexes = await listIndexes(database, relations);
      return faultsOr(
        neededIndexes
          .filter(({ relation }) => relations.includes(relation))
          .flatMap((needed) => indexFaults(needed, indexes)),
        `${neededIndexes.length} indexes.`,
      );
    },
  },
  {
    code: 'privileges',
    title: 'The database role may do what the functions do',
    look: async ({ database }, { role }) => {
      const relations = await describeRelations(database, neededRelations);
      const columns = await describeColumns(database, neededColumns);
      return faultsOr(
        [
          ...schemaFaults(relations, role),
          ...relations.flatMap((each) => privilegeFaults(each, columns, role)),
          ...relations.flatMap((each) => deletionFaults(each, role)),
        ],
        `As role ${role}.`,
      );
    },
  },
  {
    code: 'row_level_security',
    title: 'Row-level security hides no row',
    look: async ({ database }, { role }) => {
      const relations = await describeRelations(database, neededRelations);
      const hidden = relations.filter(
        ({ row_security_active, policy_lets_all }) => row_security_active && !policy_lets_all,
      );
      return faultsOr(
        hidden.map(({ name, owner }) =>
          failed(
            `${name} has row-level security, and role ${role} neither owns it nor bypasses that: rows are missing without an error.`,
            `Run ALTER ROLE ${identifier(role)} BYPASSRLS, connect as ${identifier(owner ?? 'the owner')} (if the table does not force row-level security), or run CREATE POLICY evergrant ON ${name} TO ${identifier(role)} USING (true) WITH CHECK (true).`,
          ),
        ),
        relations.some(({ row_security_active }) => row_security_active)
          ? `A policy lets role ${role} see and change every row.`
          : `It does not apply to role ${role}.`,
      );
    },
  },
  {
    code: 'statements',
    title: 'The server takes the functions’ statements',
    look: async ({ database }) => {
      const faults: Finding[] = [];
      for (const [name, run] of Object.entries(plannedStatements)) {
        try {
          await run(planning(database));
        } catch (error) {
          // What is not the server's word ends the topic: the connection is gone.
          if (sqlState(error) === null) throw error;
          // No value of a row stands in it: nothing was read, and the parameters are our own.
          faults.push(
            failed(
              `${name}: ${(error as Error).message} (${sqlState(error)}).`,
              'Mend what the lines above name; where there is none, take away what refuses the statement.',
            ),
          );
        }
      }
      return faultsOr(faults, `It can plan all ${Object.keys(plannedStatements).length}.`);
    },
  },
];

function faultsOr(faults: readonly Finding[], found: string): Finding | readonly Finding[] {
  return faults.length > 0 ? faults : ok(found);
}

async function presentRelations(database: Database): Promise<string[]> {
  const relations = await describeRelations(database, neededRelations);
  return relations.filter(({ schema }) => schema !== null).map(({ name }) => name);
}

function relationFaults({ name, schema, elsewhere }: RelationFacts, server: ServerFacts): Finding[] {
  if (schema !== null) return [];
  const [other] = elsewhere;
  return other === undefined
    ? [failed(`There is no ${name}.`, `${runMigrator}.`)]
    : [
        failed(
          `${name} is in the schema ${other}, where the search path (${server.search_path}) does not lead, or role ${server.role} has no USAGE.`,
          `Run ALTER ROLE ${identifier(server.role)} SET search_path = ${identifier(other)}, public and GRANT USAGE ON SCHEMA ${identifier(other)} TO ${identifier(server.role)}.`,
        ),
      ];
}

function missingColumns(facts: readonly ColumnFacts[]): Finding[] {
  return neededRelations.flatMap((relation) => {
    const missing = neededColumns.filter(
      (column) =>
        column.relation === relation &&
        facts.some((each) => each.relation === relation && each.name === column.name && each.type === null),
    );
    if (missing.length === 0) return [];
    const names = missing.map(({ name }) => name).join(', ');
    if (relation === usersView) {
      return [
        failed(
          `${relation} has no ${names}.`,
          `Run CREATE OR REPLACE VIEW ${relation} AS SELECT id, email::text, name::text FROM your_users.`,
        ),
      ];
    }
    const additions = missing.map(({ name, definition }) => `ADD COLUMN ${name} ${definition}`).join(', ');
    return [
      failed(
        `${relation} has no ${names}.`,
        `${runMigrator}; if no migration is pending, run ALTER TABLE ${relation} ${additions}.`,
      ),
    ];
  });
}

function columnFaults(needed: NeededColumn, facts: readonly ColumnFacts[]): Finding[] {
  const { relation, name } = needed;
  const column = facts.find((each) => each.relation === relation && each.name === name);
  if (column === undefined || column.type === null) return [];
  const alter = (type: string, using = '') =>
    relation === usersView
      ? `Let the view give ${name} as ${type}.`
      : `Run ALTER TABLE ${relation} ALTER COLUMN ${name} TYPE ${type}${using}.`;
  const [wanted = ''] = needed.definition.split(' ');
  if (!needed.types.includes(column.type) && !(needed.mayBeEnum && column.is_enum)) {
    const fromLocal =
      column.type === 'timestamp without time zone' ? ` USING ${name} AT TIME ZONE 'UTC'` : '';
    return [failed(`${relation}.${name} is ${column.type}, not ${wanted}.`, alter(wanted, fromLocal))];
  }
  if (column.max_length === null || column.max_length >= needed.length) return [];
  return [
    failed(
      `${relation}.${name} takes ${column.max_length} characters at most: what is longer is refused, and lost.`,
      alter('text'),
    ),
  ];
}

/**
 * A constraint that lists values admits those. Of one that compares with values in another way (a pattern, a list
 * of what is refused) reading it does not tell; one that names no value (`type <> ''`) minds none of ours.
 */
function typeFaults({ name, expression }: CheckFacts): Finding[] {
  const literal = /'((?:[^']|'')*)'/g;
  const values = [...expression.matchAll(literal)].map(([, value]) => value).filter((value) => value !== '');
  if (values.length === 0) return [];
  const missing = notificationTypes.filter((type) => !values.includes(type)).join(', ');
  const lists = !/[<>!~]|\bNOT\b/.test(expression.replaceAll(literal, ''));
  if (!lists) {
    return [
      warning(
        `What the constraint ${name} on notifications.type admits cannot be told by reading it.`,
        `Make sure that it admits ${notificationTypes.join(', ')}.`,
      ),
    ];
  }
  if (missing === '') return [];
  return [
    failed(
      `The constraint ${name} on notifications.type does not admit ${missing}: such notifications cannot be written.`,
      `${runMigrator}; if no migration is pending, put the types into the constraint's list again.`,
    ),
  ];
}

function indexFaults(needed: NeededIndex, indexes: readonly IndexFacts[]): Finding[] {
  const { relation, keys, unique, covers, without, create } = needed;
  const fitting = indexes.filter(
    (index) =>
      index.relation === relation &&
      (unique
        ? index.unique && index.predicate === null && index.keys.length === keys.length
        : index.predicate === null || covers.every((part) => index.predicate?.includes(part))) &&
      keys.every((key, position) => index.keys[position] === key),
  );
  if (fitting.some(({ valid }) => valid)) return [];
  const what = `${unique ? 'unique index' : 'index'} on ${relation} (${keys.join(', ')})`;
  const [broken] = fitting;
  return broken === undefined
    ? [failed(`There is no ${what}: ${without}.`, `Run ${create}.`)]
    : [
        failed(
          `The ${what} is not valid, as its building was cut short: ${without}.`,
          `Run REINDEX INDEX CONCURRENTLY ${identifier(broken.schema)}.${identifier(broken.name)}.`,
        ),
      ];
}

function schemaFaults(relations: readonly RelationFacts[], role: string): Finding[] {
  const closed = relations.some(({ schema, schema_usage }) => schema === ownSchema && schema_usage === false);
  return closed
    ? [
        failed(
          `Role ${role} may not use the schema ${ownSchema}.`,
          `Run GRANT USAGE ON SCHEMA ${ownSchema} TO ${identifier(role)}.`,
        ),
      ]
    : [];
}

function privilegeFaults(
  { name: relation, schema }: RelationFacts,
  columns: readonly ColumnFacts[],
  role: string,
): Finding[] {
  return Object.entries(privilegeNames).flatMap(([letter, privilege]) => {
    const lacking = neededColumns
      .filter((needed) => needed.relation === relation && needed.privileges.includes(letter))
      .filter(({ name }) => {
        const column = columns.find((each) => each.relation === relation && each.name === name);
        return column !== undefined && may(column, privilege) === false;
      })
      .map(({ name }) => name);
    return lacking.length === 0
      ? []
      : [
          failed(
            `Role ${role} may not ${privilege} ${relation} (${lacking.join(', ')}).`,
            `Run GRANT ${privilege} ON ${[schema ?? '', ...relation.split('.').slice(-1)]
              .filter((part) => part !== '')
              .map(identifier)
              .join('.')} TO ${identifier(role)}.`,
          ),
        ];
  });
}

function deletionFaults({ name, may_delete }: RelationFacts, role: string): Finding[] {
  if (!prunedRelations.includes(name) || may_delete !== false) return [];
  return [
    failed(
      `Role ${role} may not DELETE from ${name}: old rows stay.`,
      `Run GRANT DELETE ON ${name} TO ${identifier(role)}.`,
    ),
  ];
}

function may(column: ColumnFacts, privilege: 'SELECT' | 'INSERT' | 'UPDATE'): boolean | null {
  switch (privilege) {
    case 'SELECT':
      return column.may_select;
    case 'INSERT':
      return column.may_insert;
    case 'UPDATE':
      return column.may_update;
  }
}
