import { catalogue } from '../../lambdas/providers/catalogue.ts';
import { isProviderName } from '../../lambdas/secrets/provider-clients.ts';
import { UsageError } from '../command.ts';

/** The name of a provider, as a command was given it. Throws `UsageError`. */
export function readProviderName(argument: string | undefined): string {
  const name = argument ?? '';
  if (isProviderName(name)) return name;
  throw new UsageError(
    `${JSON.stringify(name)} is no provider. It is the provider column of integrations, such as google.`,
  );
}

/** Every name in the catalogue, also the other names of a provider. */
export function catalogueNames(): string[] {
  return Object.entries(catalogue).flatMap(([name, { aliases = [] }]) => [name, ...aliases]);
}

/** What `--variable name=value` was given, in all its repetitions. Throws `UsageError`. */
export function readVariables(given: unknown): Record<string, string> {
  const pairs = ((given ?? []) as readonly string[]).map((pair) => {
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(at, 0));
    const value = pair.slice(at + 1);
    if (!/^\w+$/.test(name) || value === '') {
      throw new UsageError(
        `--variable is a name and a value, such as subdomain=acme, not ${JSON.stringify(pair)}.`,
      );
    }
    return [name, value] as const;
  });
  return Object.fromEntries(pairs);
}
