import * as z from 'zod';
import { defaultPolicy } from '../lambdas/domain/policy.ts';

/** From `cdk.json` a number, from `-c` its digits. */
const whole = (minimum: number, maximum: number) =>
  z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], { error: 'must be a whole number' })
    .pipe(z.number().int('must be a whole number').min(minimum).max(maximum));
const count = whole(1, 1_000);
const secretName = z.string().regex(/^[\w/+=.@-]{1,512}$/, 'must be the name of a secret');

/** What CloudWatch Logs offers (PutRetentionPolicy). */
const retentionDays = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/** From `cdk.json` a list, from `-c` one string with commas. */
const ids = (kind: string) =>
  z
    .union([z.array(z.string()), z.string().transform((text) => text.split(','))])
    .pipe(
      z
        .array(
          z
            .string()
            .regex(
              new RegExp(`^${kind}-([0-9a-f]{8}|[0-9a-f]{17})$`),
              `must be ids such as ${kind}-0a1b2c3d4e5f60718, with commas between`,
            ),
        )
        .min(1),
    )
    .optional();

const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((value) => value === 'true')], {
  error: 'must be true or false',
});

/** Whether a path stays what it is, and where it is, as part of a URL. */
function isPlainPath(path: string): boolean {
  const filled = path.replaceAll(/\{(integrationId|provider)\}/g, 'x');
  return URL.parse(filled, 'http://app')?.href === `http://app${filled}`;
}

/** All settings; their names, defaults and limits. */
export const settingsSchema = z
  .strictObject({
    /** Tells several systems in one account apart: part of the stack's name and of its secrets' names. */
    stage: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,19}$/, 'must be 1 to 20 lower case letters, digits and "-", a letter first')
      .default('prod'),
    /**
     * `existing`: the product's own Postgres, which a secret points at. `aurora`: the stack creates an Aurora Serverless
     * cluster that needs no VPC. `aurora-in-vpc`: it creates one in a VPC of its own, with a NAT gateway per zone.
     */
    database: z.enum(['aurora', 'aurora-in-vpc', 'existing']).default('aurora'),
    /** Secrets Manager secret of an existing Postgres; by default `evergrant/<stage>/database`. */
    databaseSecretName: secretName.optional(),
    /** One of the same form for the migrator alone, so that no other function can read the owner's password. */
    migratorSecretName: secretName.optional(),
    /** Where functions must run to reach an existing Postgres; outside of any VPC by default. */
    vpcId: z
      .string()
      .regex(/^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/, 'must be the id of a VPC, such as vpc-0a1b2c3d4e5f60718')
      .optional(),
    /** Private subnets of that VPC, with a way to the internet: providers and AWS are there. */
    subnetIds: ids('subnet'),
    /** Security groups of the functions; the database's must let them in. */
    securityGroupIds: ids('sg'),
    /** The rule's rhythm. */
    scanIntervalMinutes: whole(1, 60).default(5),
    /** Whether the rule fires; `false` while another refresher still runs beside it. Scans by hand always work. */
    scanning: flag.default(true),
    /** A token is due when it expires within this time. */
    refreshWindowSeconds: whole(60, 30 * 86_400).default(600),
    /** Between two attempts on a failing integration, spread by half either way; by default the scan interval. */
    retryDelaySeconds: whole(1, 86_400).optional(),
    /** Time-out of one call to a token endpoint. The TLS handshakes of a full batch may take a second by themselves. */
    callTimeoutSeconds: whole(3, 60).default(10),
    warningThreshold: count.default(defaultPolicy.warningThreshold),
    disconnectThreshold: count.default(defaultPolicy.disconnectThreshold),
    rateLimitThreshold: count.default(defaultPolicy.rateLimitThreshold),
    /** How long before a grant ends that only its user can renew they are warned in the app. */
    lapseWarningDays: whole(1, 90).default(7),
    disconnectOnInvalidRefreshToken: flag.default(defaultPolicy.disconnectOnInvalidRefreshToken),
    /** How long nobody of a provider is disconnected after implausibly many of its grants were refused at once. */
    disconnectionHoldHours: whole(1, 168).default(12),
    /** `plain` is for a product that reads the token columns itself and cannot open a JWE yet. */
    tokensAtRest: z.enum(['sealed', 'plain']).default('sealed'),
    /** A secret with the token key that is there already, such as an earlier deployment's; by default the stack makes one. */
    tokenKeySecretName: secretName.optional(),
    /** Address that emails come from; without it only the app tells users. */
    senderEmail: z.email('must be an email address').optional(),
    /**
     * What SES has to verify before it sends: `address`, to which AWS mails a link; `domain`, for which the stack
     * outputs DNS records; `existing`, an address or domain that is verified in this account and Region already.
     */
    senderIdentity: z.enum(['address', 'domain', 'existing']).default('address'),
    /** Named in emails. */
    productName: z
      .string()
      .min(1, 'must not be empty')
      .max(100, 'must be at most 100 characters')
      .default('your app'),
    /** Where the product's own pages are; needed for emails. Without it notifications link within the app. */
    appBaseUrl: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
    /** The page that reconnects an integration; `{integrationId}` and `{provider}` are filled in. */
    reconnectPath: z
      .string()
      .startsWith('/', 'must begin with "/"')
      .refine(isPlainPath, 'must be a path as a URL holds it, without "//" in front and without ".."')
      .default('/integrations?reconnect={integrationId}'),
    /** Gets the alarms, after confirming the subscription that AWS mails. */
    alarmEmail: z.email('must be an email address').optional(),
    /**
     * Refreshers running at the same time at most, each with up to two hundred calls under way. The default leaves a new
     * account, which may have ten concurrent executions in all, room for everything else.
     */
    maxConcurrency: whole(2, 1_000).default(5),
    logRetentionDays: whole(1, 3_653)
      .refine(
        (days) => retentionDays.includes(days),
        `must be one of CloudWatch's: ${retentionDays.join(', ')}`,
      )
      .default(30),
  })
  .refine((settings) => settings.senderEmail === undefined || settings.appBaseUrl !== undefined, {
    path: ['appBaseUrl'],
    error: 'is needed with senderEmail: the button of an email must lead somewhere',
  })
  .refine(({ database, databaseSecretName }) => database === 'existing' || databaseSecretName === undefined, {
    path: ['databaseSecretName'],
    error: 'is for an existing Postgres: add database=existing, or leave it out',
  })
  .refine(({ database, migratorSecretName }) => database === 'existing' || migratorSecretName === undefined, {
    path: ['migratorSecretName'],
    error: 'is for an existing Postgres: add database=existing, or leave it out',
  })
  .refine(
    ({ database, vpcId, subnetIds, securityGroupIds }) =>
      database === 'existing' || [vpcId, subnetIds, securityGroupIds].every((given) => given === undefined),
    {
      path: ['vpcId'],
      error:
        'is for an existing Postgres, as are subnetIds and securityGroupIds: add database=existing, or leave them out',
    },
  )
  .refine(
    ({ vpcId, subnetIds, securityGroupIds }) =>
      new Set([vpcId, subnetIds, securityGroupIds].map((given) => given === undefined)).size === 1,
    {
      path: ['vpcId'],
      error: 'belongs together with subnetIds and securityGroupIds: set all three, or none',
    },
  )
  .refine((settings) => settings.refreshWindowSeconds > settings.scanIntervalMinutes * 60, {
    path: ['refreshWindowSeconds'],
    error: 'must be longer than the scan interval, or tokens expire between two scans',
  })
  .refine((settings) => settings.warningThreshold < settings.disconnectThreshold, {
    path: ['warningThreshold'],
    error: 'must be below disconnectThreshold: a warning after the disconnection helps nobody',
  });

/** Everything that can be set about a stack. Each is a context value: `cdk.json` or `-c name=value`. */
export type Settings = z.infer<typeof settingsSchema>;

/** The settings contradict the schema. The message has one line per problem, each naming setting and fix. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly code = 'settings_invalid';
}

/** Checks settings and fills in defaults. Throws `SettingsError` with all problems at once. */
export function parseSettings(given: Readonly<Record<string, unknown>>): Settings {
  const parsed = settingsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `- ${key}: is no setting; docs/deploy.md lists them all`)
      : [`- ${issue.path.join('.')}: ${issue.message}`],
  );
  throw new SettingsError(
    `The settings are not usable (cdk.json "context", or -c name=value):\n${problems.join('\n')}`,
  );
}

/**
 * Reads the settings out of an app's context. The CDK's own values have a ":" or "/" in their names; every
 * plain name must be a setting, so that a misspelled one is noticed.
 */
export function settingsFromContext(context: Readonly<Record<string, unknown>>): Settings {
  return parseSettings(Object.fromEntries(Object.entries(context).filter(([name]) => /^\w+$/.test(name))));
}
