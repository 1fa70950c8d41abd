import { errorFields, type Logger } from '../observability/logger.ts';
import type { Database } from '../postgres/database.ts';
import { readClock, runningSeconds } from '../postgres/read-clock.ts';
import { addressOf } from '../providers/address.ts';
import { findInCatalogue } from '../providers/catalogue.ts';
import type { ProviderClient } from '../providers/client.ts';
import { problemsOfClient } from '../providers/client-problems.ts';
import { z } from '../schema.ts';
import {
  findProviderClient,
  isProviderName,
  type ProviderClientLookup,
  secretNamesOf,
} from '../secrets/provider-clients.ts';
import { readGuards } from './provider-guards.ts';
import { providerName } from './provider-name.ts';
import type { Check, CheckProviderReport, CheckProviderRequest } from './reports.ts';
import { counted, type Finding, failed, notChecked, ok, warning } from './topic.ts';
import { describeVariables, reasonNotToTry, tryCredentials } from './try-credentials.ts';

export const checkProviderRequest = z.strictObject({
  ask: z.literal('check_provider'),
  provider: providerName,
  variables: z.record(z.string(), z.string()),
}) satisfies z.ZodMiniType<CheckProviderRequest>;

export interface CheckProviderParts {
  readonly database: Database;
  /** `null`: there is no such secret. Throws what Secrets Manager says. */
  readonly readSecret: (secretId: string) => Promise<string | null>;
  readonly secretPrefix: string;
  readonly logger: Logger;
  /** Milliseconds since 1970 as far as the function knows, for when the database does not say. */
  readonly nowMs: () => number;
}

type Request = Omit<CheckProviderRequest, 'ask'>;

/**
 * What is wrong with a provider's configuration, and whether the provider accepts our client: a request to renew a grant
 * with a token that nobody has issued is refused for the token if the client is right, and for the client if it is not.
 * No user's grant is touched. Holds no part of a secret, and nothing that a provider wrote.
 */
export async function checkProvider(
  parts: CheckProviderParts,
  request: Request,
): Promise<CheckProviderReport> {
  const { provider } = request;
  const entry = findInCatalogue(provider);
  const [lookup, guards, nowSeconds] = await Promise.all([
    lookUp(parts, provider),
    guardChecks(parts, provider),
    requestSeconds(parts),
  ]);
  const report = (
    checks: readonly Check[],
    rest: Partial<Pick<CheckProviderReport, 'displayName' | 'secretId' | 'credentials' | 'attempt'>> = {},
  ): CheckProviderReport => ({
    provider,
    displayName: entry?.description.displayName ?? null,
    secretId: null,
    credentials: 'not_tried',
    attempt: null,
    ...rest,
    checks: [...checks, ...guards],
  });
  const found = [...knownChecks(provider, entry, lookup), ...secretChecks(parts, provider, lookup)];
  if (!lookup.ok) return report(found);
  const { client, secretId } = lookup;
  const faults = [...clientChecks(client, request), ...givenChecks(client, request)];
  const named = { displayName: client.provider.displayName, secretId };
  const connecting = connectChecks(client, provider);
  const reason = reasonNotToTry(client, request);
  if (reason !== null || faults.some(({ state }) => state === 'failed')) {
    const skipped = reason ?? notChecked('Not tried, as what stands above has to be mended first.', null);
    return report([...found, ...faults, check(triedCheck, skipped), ...connecting], named);
  }
  const tried = await tryCredentials(client, request, { nowSeconds: nowSeconds() });
  return report([...found, ...faults, check(triedCheck, tried.finding), ...connecting], {
    ...named,
    credentials: tried.credentials,
    attempt: tried.attempt,
  });
}

type Named = Pick<Check, 'code' | 'title'>;

const knownCheck = { code: 'provider_known', title: 'Its definition' };
const secretCheck = { code: 'provider_secret', title: 'Its secret' };
const contentCheck = { code: 'provider_secret_content', title: 'Its secret is well-formed' };
const variableCheck = { code: 'provider_variables', title: 'Its address is complete' };
const keyCheck = { code: 'provider_private_key', title: 'The private key signs' };
const triedCheck = { code: 'provider_credentials', title: 'It accepts our client' };
const connectCheck = { code: 'provider_connect', title: 'evergrant connect' };
const circuitCheck = { code: 'provider_circuit', title: 'It is called' };
const heldCheck = { code: 'provider_disconnections', title: 'Its disconnections' };

function check({ code, title }: Named, { state, found, fix }: Finding): Check {
  return { code, title, state, found, fix };
}

/** Its code may also be `unreadable`: Secrets Manager did not give the secret, and `fix` is what it said. */
type Lookup = ProviderClientLookup;

async function lookUp(
  { readSecret, secretPrefix, logger }: CheckProviderParts,
  provider: string,
): Promise<Lookup> {
  try {
    return await findProviderClient(provider, secretPrefix, readSecret);
  } catch (error) {
    logger.warn('secret not readable', { provider, cause: errorFields(error) });
    const { name, code } = errorFields(error);
    return {
      ok: false,
      code: 'unreadable',
      fix: String(code ?? name),
    };
  }
}

function knownChecks(provider: string, entry: ReturnType<typeof findInCatalogue>, lookup: Lookup): Check[] {
  const known = (finding: Finding) => [check(knownCheck, finding)];
  if (entry !== null && entry.name !== provider) {
    return known(ok(`${provider} is another name of ${entry.name} in the catalogue.`));
  }
  if (entry !== null) return known(ok(`${entry.description.displayName}, of the catalogue.`));
  if (lookup.ok) return known(ok(`${lookup.client.provider.displayName}, by its secret.`));
  if (lookup.code !== 'provider_not_configured') return [];
  return known(
    failed(
      `The catalogue does not know ${provider}, and no secret defines it.`,
      `evergrant provider list shows the catalogue; evergrant provider set ${provider} asks for what a provider of your own needs.`,
    ),
  );
}

function secretChecks({ secretPrefix }: CheckProviderParts, provider: string, lookup: Lookup): Check[] {
  const found = (finding: Finding) => [check(secretCheck, finding)];
  const own = secretPrefix + provider;
  if (lookup.ok) {
    if (lookup.secretId === null) {
      return found(ok('It has none and needs none: nothing of a client is sent.'));
    }
    const { clientAuthentication, renewal } = lookup.client.provider;
    return [
      ...found(
        ok(
          lookup.secretId === own
            ? `${own}.`
            : `It has none of its own, so that of ${lookup.secretId.slice(secretPrefix.length)} serves: ${lookup.secretId}.`,
        ),
      ),
      check(contentCheck, ok(renewal === 'none' ? 'Yes.' : `It has what ${clientAuthentication} needs.`)),
    ];
  }
  const base = secretNamesOf(provider).at(-1) ?? provider;
  switch (lookup.code) {
    case 'unreadable':
      return found(
        failed(
          `Secrets Manager did not give it to the function: ${lookup.fix}.`,
          'Make sure that the function may read the secret (also the KMS key that it is encrypted with, if that is one of yours) and reaches Secrets Manager.',
        ),
      );
    case 'provider_not_configured':
      return found(
        failed(
          `There is no secret ${secretPrefix}${base}.`,
          `Put the client's credentials into it: evergrant provider set ${base}.`,
        ),
      );
    default: {
      // Whose secret it is that has to be mended: another name's may be that of its provider.
      const { name, problems } = lookup.malformed ?? {
        name: provider,
        problems: [lookup.fix.replace(/\.$/, '')],
      };
      return problems.map((problem) =>
        check(
          contentCheck,
          failed(
            `${problem}.`,
            `Mend it: evergrant provider set ${name}. On standard input it takes a JSON document with the right value, or null for a field that is to go.`,
          ),
        ),
      );
    }
  }
}

function clientChecks(client: ProviderClient, { provider, variables }: Request): Check[] {
  const { clientAuthentication, tokenEndpoint } = client.provider;
  const problems = problemsOfClient(client);
  const checks = problems.map(({ field, problem, harmless }) => {
    const found = `${field} in the secret: ${problem}.`;
    return check(
      field === 'privateKey' ? keyCheck : variableCheck,
      harmless ? warning(found, fixOf(provider, field, true)) : failed(found, fixOf(provider, field, false)),
    );
  });
  const address = tokenEndpoint === undefined ? null : addressOf(client, tokenEndpoint, variables);
  if (address?.ok) checks.push(check(variableCheck, ok(`${address.url}.`)));
  if (clientAuthentication === 'private_key_jwt' && !problems.some(({ field }) => field === 'privateKey')) {
    checks.push(check(keyCheck, ok('Yes.')));
  }
  return checks;
}

function fixOf(provider: string, field: string, isSurplus: boolean): string {
  const set = `evergrant provider set ${provider}`;
  if (field === 'privateKey') return `${set} --private-key-file key.pem.`;
  const name = field.replace(/^variables\./, '');
  if (!isSurplus) return `${set} --variable ${name}=….`;
  return `Take it out: echo '{"variables": {"${name}": null}}' | ${set} --yes.`;
}

/** What the command was given for the place of what an integration says. */
function givenChecks(client: ProviderClient, { provider, variables: given }: Request): Check[] {
  const { variables: defined, tokenEndpoint } = client.provider;
  const checks = Object.keys(given).flatMap((name) => {
    const variable = Object.hasOwn(defined, name) ? defined[name] : undefined;
    if (variable?.from === 'integration') return [];
    const names = Object.keys(defined);
    return check(
      variableCheck,
      variable === undefined
        ? failed(
            `${name} stands for nothing: the address ${names.length === 0 ? 'needs no variables' : `has ${names.join(', ')}`}.`,
            `Leave out --variable ${name}=….`,
          )
        : failed(
            `${name} does not differ by integration: it is taken from the secret.`,
            `Leave it out here, and put it into the secret: evergrant provider set ${provider} --variable ${name}=….`,
          ),
    );
  });
  if (tokenEndpoint === undefined) return checks;
  const address = addressOf(client, tokenEndpoint, given);
  if (!address.ok && address.code === 'integration_variable_invalid') {
    checks.push(
      check(
        variableCheck,
        failed(
          'What --variable says cannot stand in the address.',
          `The address needs ${describeVariables(client)}.`,
        ),
      ),
    );
  }
  return checks;
}

function connectChecks(
  { provider: { authorizationEndpoint, renewal } }: ProviderClient,
  name: string,
): Check[] {
  if (authorizationEndpoint !== undefined) return [check(connectCheck, ok('Possible.'))];
  if (renewal === 'none') return [];
  return [
    check(
      connectCheck,
      ok(
        'Not possible, as authorizationEndpoint is not known. Refreshes do not need it.',
        `To connect accounts by the command line, put provider.authorizationEndpoint into the secret: evergrant provider set ${name}.`,
      ),
    ),
  ];
}

/** The refreshers' clock is the database's; what ails a provider can be looked for while that is away. */
async function requestSeconds({ database, logger, nowMs }: CheckProviderParts): Promise<() => number> {
  try {
    return runningSeconds((await readClock(database)).getTime() / 1000);
  } catch (error) {
    logger.warn('database clock not readable', { cause: errorFields(error) });
    return () => nowMs() / 1000;
  }
}

/** Whether integrations are held back, as far as the database says. */
async function guardChecks({ database, logger }: CheckProviderParts, provider: string): Promise<Check[]> {
  if (!isProviderName(provider)) return [];
  try {
    const guards = (await readGuards(database)).find((each) => each.provider === provider);
    const circuit = guards?.circuit ?? null;
    const held = guards?.disconnectionsHeld ?? null;
    const checks = [
      check(
        circuitCheck,
        circuit === null
          ? ok('Its circuit is closed.')
          : warning(
              `Its circuit is open since ${shown(circuit.openedAt)}: ${circuit.cause === 'by_hand' ? 'an operator opened it' : `${counted(circuit.failing ?? 0, 'integration')} failed, most with ${circuit.code}`}. Its integrations wait.`,
              `evergrant status tells more; evergrant provider close ${provider} closes it.`,
            ),
      ),
    ];
    if (held === null) return checks;
    return [
      ...checks,
      check(
        heldCheck,
        warning(
          `They are held until ${shown(held.until)}, as ${counted(held.refused ?? 0, 'grant')} were refused within minutes.`,
          `evergrant status tells more; evergrant provider close ${provider} ends it.`,
        ),
      ),
    ];
  } catch (error) {
    logger.warn('provider states not readable', { provider, cause: errorFields(error) });
    return [
      check(circuitCheck, notChecked('The database did not say.', 'evergrant verify tells what is wrong.')),
    ];
  }
}

/** To the second, as people read it. */
function shown(moment: string | null): string {
  return (moment ?? 'long ago').replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}
