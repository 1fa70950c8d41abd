import { errorFields } from '../observability/logger.ts';
import { DatabaseUnavailable } from '../postgres/database.ts';
import { SecretUnusable } from '../secrets/secret-reader.ts';
import { type Finding, failed } from './topic.ts';

/** What kept the first statement from being answered. Holds no part of the database's URL or secret. */
export function unreachable(error: unknown): Finding {
  if (error instanceof SecretUnusable) return failed('The database secret is not usable.', error.message);
  if (error instanceof DatabaseUnavailable) return failed(`${error.message}.`, fixOf(error.cause));
  const { name = '', code, sqlstate } = errorFields(error);
  if (sqlstate !== undefined) {
    return failed(
      `PostgreSQL refused the first statement (SQLSTATE ${sqlstate}).`,
      'Look at the server’s own log: it is up, and refuses to work.',
    );
  }
  return failed(
    `The database could not be asked: ${code ?? name}.`,
    'Make sure that the function may read the database secret and reaches Secrets Manager; its log has the error.',
  );
}

const fixes: readonly (readonly [RegExp, string])[] = [
  [/^28/, 'Put the right user and password into the database URL.'],
  [/^3D000/, 'Put the name of a database that exists into the database URL.'],
  [/^53300/, 'Give the role more connections, or let the URL lead through a pooler.'],
  [/^57P03/, 'Wait until the server has started or recovered, and run verify again.'],
  [/EXPIRED/, 'Let the server have a certificate that is in force.'],
  [
    /SELF_SIGNED|UNABLE_TO|CERT_|issuer certificate/,
    'Put the certificates of the authority that signed the server’s as "ca" into the database secret.',
  ],
  [/ALTNAME/, 'Use the host name that the server’s certificate is made out for.'],
  [
    /does not support SSL/,
    'Switch TLS on in the server; sslmode=disable is for databases on the same machine.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN/,
    'Correct the host in the database URL; in a VPC, make sure that its DNS resolves the name.',
  ],
];

function fixOf(cause: unknown): string {
  const { code, message = '' } = (cause ?? {}) as { code?: unknown; message?: string };
  const clue = typeof code === 'string' ? `${code} ${message}` : message;
  const [, fix] = fixes.find(([pattern]) => pattern.test(clue)) ?? [];
  return (
    fix ??
    'Correct host and port in the database URL, and let the functions’ network in: security group, allowed addresses, public access.'
  );
}
