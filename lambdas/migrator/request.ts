import { problemsOf, z } from '../schema.ts';

export interface MigrationRequest {
  readonly direction: 'up' | 'down' | 'status';
  /** How many migrations at most; `null`: going up all, going down one. */
  readonly count: number | null;
}

/** The event of the migrator is wrong. The message names every field and what it must be. */
export class MigrationRequestInvalid extends Error {
  override readonly name = 'MigrationRequestInvalid';
  readonly code = 'migration_request_invalid';
}

const request = z.object({
  direction: z._default(
    z.enum(['up', 'down', 'status'], { error: 'must be "up", "down" or "status"' }),
    'up',
  ),
  count: z._default(
    z.nullable(
      z.int({ error: 'must be a whole number' }).check(z.minimum(1, { error: 'must be at least 1' })),
    ),
    null,
  ),
});

/** Reads the event that invoked the migrator; a deployment sends none that matters. Throws `MigrationRequestInvalid`. */
export function parseMigrationRequest(event: unknown): MigrationRequest {
  const parsed = request.safeParse(event ?? {});
  if (parsed.success) return parsed.data;
  throw new MigrationRequestInvalid(
    `${problemsOf(parsed.error, 'the event')}. The migrator takes {"direction", "count"}, both optional.`,
  );
}
