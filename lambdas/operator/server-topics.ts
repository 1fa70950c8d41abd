import { readClock } from '../postgres/read-clock.ts';
import { failed, identifier, ok, type Topic, warning } from './topic.ts';

const oldestVersion = 14;
const clockWarningSeconds = 5;
const clockFailureSeconds = 60;
/** A statement of two hundred results has to get through. */
const shortestStatementTimeoutSeconds = 5;

/** About the server and the way to it. */
export const serverTopics: readonly Topic[] = [
  {
    code: 'server_version',
    title: 'PostgreSQL is new enough',
    look: async (_, { version, version_number }) =>
      version_number >= oldestVersion * 10_000
        ? ok(`PostgreSQL ${version}.`)
        : failed(
            `PostgreSQL ${version}; Evergrant needs ${oldestVersion} or newer.`,
            `Upgrade the server to PostgreSQL ${oldestVersion} or newer.`,
          ),
  },
  {
    code: 'server_writable',
    title: 'The server takes writes',
    look: async (_, { in_recovery, read_only, role }) => {
      if (in_recovery) {
        return failed(
          'The server is a replica: nothing can be claimed or stored.',
          'Point the database address of the functions at the primary (the writer endpoint of a cluster).',
        );
      }
      return read_only
        ? failed(
            'Transactions are read-only by default: nothing can be claimed or stored.',
            `Set default_transaction_read_only to off for the role (ALTER ROLE ${identifier(role)} SET default_transaction_read_only = off) or the database.`,
          )
        : ok('It is a primary, and transactions may write.');
    },
  },
  {
    code: 'tls',
    title: 'Statements travel encrypted',
    look: async ({ database }) => {
      switch (database.transport) {
        case 'tls':
          return ok('TLS, with the server’s certificate verified.');
        case 'loopback':
          return ok('No TLS, and none needed: the database is on the same machine.');
        default:
          return failed(
            'Tokens and the database password cross the network in plain text.',
            'Take sslmode=disable out of the database URL.',
          );
      }
    },
  },
  {
    code: 'clock',
    title: 'Function and database agree on the time',
    look: async ({ database }) => {
      const before = Date.now();
      const now = (await readClock(database)).getTime();
      const after = Date.now();
      const apart = Math.abs(now - (before + after) / 2);
      // The server read its clock somewhere within the round trip.
      const seconds = Math.max(0, apart - (after - before) / 2) / 1000;
      const found = `They differ by ${seconds.toFixed(1)} s (round trip ${after - before} ms).`;
      const fix =
        'Let the database’s host synchronize its clock (NTP): what is due and what has expired is decided by it.';
      if (seconds > clockFailureSeconds) return failed(found, fix);
      return seconds > clockWarningSeconds ? warning(found, fix) : ok(found);
    },
  },
  {
    code: 'statement_timeout',
    title: 'Statements that nobody waits for end',
    look: async ({ settings }, { statement_timeout_seconds: seconds, role }) => {
      const wanted = Math.ceil(settings.queryTimeoutMs / 1000);
      const alter = `ALTER ROLE ${identifier(role)} SET statement_timeout = '${wanted}s'`;
      if (seconds === 0) {
        return ok(
          'The server sets no statement_timeout: a statement that a function has given up on goes on.',
          `To end such statements in the server as well, run ${alter}.`,
        );
      }
      return seconds < shortestStatementTimeoutSeconds
        ? warning(
            `The server ends statements after ${seconds} s, sooner than the functions give up on them.`,
            `Give them time: ${alter}.`,
          )
        : ok(`The server ends statements after ${seconds} s.`);
    },
  },
];
