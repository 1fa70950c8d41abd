import { problemsOf, z } from '../schema.ts';

/** What a scan is asked to do. */
export interface ScanRequest {
  /** Only this provider's integrations; `null`: all. */
  readonly provider: string | null;
  /** At most so many integrations; `null`: all that are due. */
  readonly limit: number | null;
  /** Only this integration, whether it is due or not; `null`: those that are due. */
  readonly integration: string | null;
  /** Show what would be claimed and change nothing. */
  readonly dryRun: boolean;
  /** Answer with the list of integrations, not only with counts. */
  readonly verbose: boolean;
}

/** The event of a manual scan is wrong. The message names every field and what it must be. */
export class ScanRequestInvalid extends Error {
  override readonly name = 'ScanRequestInvalid';
  readonly code = 'scan_request_invalid';
}

const fields = z.strictObject({
  provider: z._default(
    z.nullable(
      z
        .string()
        .check(z.regex(/^[\w.-]{1,100}$/, { error: 'must be the name of a provider, such as "google"' })),
    ),
    null,
  ),
  limit: z._default(
    z.nullable(
      z
        .int({ error: 'must be a whole number' })
        .check(
          z.minimum(1, { error: 'must be at least 1' }),
          z.maximum(1_000_000, { error: 'must be at most 1000000' }),
        ),
    ),
    null,
  ),
  integration: z._default(z.nullable(z.guid({ error: 'must be the id (a UUID) of an integration' })), null),
  dryRun: z._default(z.boolean({ error: 'must be true or false' }), false),
  verbose: z._default(z.boolean({ error: 'must be true or false' }), false),
});

const manual = fields.check(
  z.refine(
    ({ integration, provider, limit }) => integration === null || (provider === null && limit === null),
    {
      path: ['integration'],
      error: 'must stand without provider and limit: it names the one integration that is wanted',
    },
  ),
);

/** Reads the event that invoked the scanner: the schedule's, or a manual one. Throws `ScanRequestInvalid`. */
export function parseScanRequest(event: unknown): ScanRequest {
  const given = isScheduled(event) ? {} : (event ?? {});
  const parsed = manual.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ScanRequestInvalid(
    `${problemsOf(parsed.error, 'the event')}. A manual scan takes {"provider", "limit", "dryRun", "verbose"} or {"integration", "dryRun", "verbose"}, all optional.`,
  );
}

function isScheduled(event: unknown): boolean {
  return typeof event === 'object' && event !== null && 'source' in event && event.source === 'aws.events';
}
