import { paginateListSecrets } from '@aws-sdk/client-secrets-manager';
import type { HeldDisconnections, OpenCircuit, StatusReport } from '../../lambdas/operator/reports.ts';
import { catalogue, findInCatalogue } from '../../lambdas/providers/catalogue.ts';
import { type ProviderDefinition, parseDefinition } from '../../lambdas/providers/definition.ts';
import { findProviderClient } from '../../lambdas/secrets/provider-clients.ts';
import { CliError, type CommandContext, type ExitCode } from '../command.ts';
import { explain } from '../failures.ts';
import { askOperator } from '../operator.ts';
import { readCurrentVersion } from '../secret-versions.ts';
import type { Target } from '../target.ts';
import { renderProviders } from './render-list.ts';

/** Secrets that are read at the same time. */
const readsAtOnce = 10;

/** One provider, as `provider list` shows it. */
export interface ListedProvider {
  readonly name: string;
  /** `null`: its definition is not usable. */
  readonly displayName: string | null;
  /** Where its definition is: in the catalogue (under another name, if `alias`), or in its secret. */
  readonly definedBy: 'catalogue' | 'alias' | 'secret' | 'nobody';
  /** The name in the catalogue; `null`: it is not there. */
  readonly catalogueName: string | null;
  readonly aliases: readonly string[];
  /** Where its client is: `shared` in the secret of the catalogue's name; `missing` and `unusable` nowhere that serves. */
  readonly client: 'own' | 'shared' | 'not_needed' | 'missing' | 'unusable';
  readonly secretId: string | null;
  /** What is wrong with the secret. */
  readonly problem: string | null;
  readonly clientAuthentication: ProviderDefinition['clientAuthentication'] | null;
  readonly renewal: ProviderDefinition['renewal'] | null;
  readonly rotation: ProviderDefinition['rotation'] | null;
  /** Variables of its address that are to be put into the secret. */
  readonly variables: readonly string[];
  readonly documentation: string | null;
  /** Connected ones; `null`: the operator function did not answer. */
  readonly integrations: number | null;
  readonly circuit: OpenCircuit | null;
  readonly disconnectionsHeld: HeldDisconnections | null;
}

/** `evergrant provider list`. */
export async function listProviders({ target, output }: CommandContext): Promise<ExitCode> {
  const stack = await target();
  output.progress('listing the secrets, and asking the operator function');
  const [secretNames, status] = await Promise.all([secretNamesAt(stack), standingAt(stack)]);
  const report = typeof status === 'string' ? null : status;
  if (typeof status === 'string') {
    output.notice(`What holds providers back is not known: ${status}`);
  }
  output.progress('reading the secrets of providers');
  const providers = await providersOf(stack, secretNames, report);
  const well = providers.every(({ client, integrations }) =>
    client === 'missing' ? !integrations : client !== 'unusable',
  );
  output.document({ well, providers });
  for (const line of renderProviders(providers, report?.now ?? null, output.style)) output.line(line);
  return well ? 0 : 3;
}

/** What stands behind the prefix in the names of secrets. */
async function secretNamesAt(target: Target): Promise<string[]> {
  const prefix = target.output('ProviderSecretPrefix');
  const names: string[] = [];
  const pages = paginateListSecrets(
    { client: target.secrets },
    { Filters: [{ Key: 'name', Values: [prefix] }] },
  );
  for await (const { SecretList = [] } of pages) {
    names.push(...SecretList.map(({ Name = '' }) => Name.slice(prefix.length)));
  }
  return names;
}

/** A sentence where the operator function does not tell: the list is worth having without. */
async function standingAt(target: Target): Promise<StatusReport | string> {
  try {
    return await askOperator<StatusReport>(target, { ask: 'status' });
  } catch (error) {
    return explain(error, { local: target.local }).message;
  }
}

async function providersOf(
  target: Target,
  secretNames: readonly string[],
  report: StatusReport | null,
): Promise<ListedProvider[]> {
  const standing = [
    ...(report?.providers ?? []).filter(({ connected }) => connected > 0),
    ...(report?.circuits ?? []),
    ...(report?.disconnectionsHeld ?? []),
  ].map(({ provider }) => provider);
  const used = [...new Set([...secretNames, ...standing])];
  const bases = used.map((name) => findInCatalogue(name)?.name ?? name);
  const secrets = await readSecrets(target, [...new Set([...used, ...bases])]);
  const names = [...new Set([...Object.keys(catalogue), ...used])].toSorted();
  return Promise.all(names.map((name) => listed(target, name, secrets, report)));
}

/** Values by the names of providers; `null`: there is none. A secret that was listed a moment ago may be gone. */
async function readSecrets(
  target: Target,
  names: readonly string[],
): Promise<ReadonlyMap<string, string | null>> {
  const prefix = target.output('ProviderSecretPrefix');
  const values = new Map<string, string | null>();
  const queue = names.values();
  const worker = async () => {
    for (const name of queue) {
      const version = await readCurrentVersion(target, prefix + name).catch((error: unknown) => {
        // One that is being deleted serves nobody.
        if (error instanceof CliError) return null;
        throw error;
      });
      values.set(prefix + name, version?.value ?? null);
    }
  };
  await Promise.all(Array.from({ length: Math.min(readsAtOnce, names.length) }, worker));
  return values;
}

async function listed(
  target: Target,
  name: string,
  secrets: ReadonlyMap<string, string | null>,
  report: StatusReport | null,
): Promise<ListedProvider> {
  const prefix = target.output('ProviderSecretPrefix');
  const entry = findInCatalogue(name);
  const known = entry === null ? null : catalogue[entry.name];
  const found = await findProviderClient(name, prefix, async (secretId) => secrets.get(secretId) ?? null);
  const described = entry === null ? null : parseDefinition(entry.description);
  const definition = found.ok ? found.client.provider : described?.ok ? described.value : null;
  const isMissing = !found.ok && found.code === 'provider_not_configured';
  const secretId = found.ok ? found.secretId : isMissing ? null : prefix + name;
  const of = (each: { readonly provider: string }) => each.provider === name;
  return {
    name,
    displayName: definition?.displayName ?? null,
    definedBy:
      entry === null ? (found.ok ? 'secret' : 'nobody') : entry.name === name ? 'catalogue' : 'alias',
    catalogueName: entry?.name ?? null,
    aliases: entry?.name === name ? (known?.aliases ?? []) : [],
    client: found.ok
      ? secretId === null
        ? 'not_needed'
        : secretId === prefix + name
          ? 'own'
          : 'shared'
      : isMissing
        ? 'missing'
        : 'unusable',
    secretId,
    problem: found.ok || isMissing ? null : found.fix,
    clientAuthentication: definition?.clientAuthentication ?? null,
    renewal: definition?.renewal ?? null,
    rotation: definition?.rotation ?? null,
    variables: Object.entries(definition?.variables ?? {})
      .filter(([, variable]) => variable.from === 'client' && variable.default === undefined)
      .map(([variable]) => variable),
    documentation: definition?.documentation ?? null,
    integrations: report === null ? null : (report.providers.find(of)?.connected ?? 0),
    circuit: report?.circuits.find(of) ?? null,
    disconnectionsHeld: report?.disconnectionsHeld.find(of) ?? null,
  };
}
