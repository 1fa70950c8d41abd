import { addressOf } from './address.ts';
import type { ProviderClient } from './client.ts';
import { canSign } from './request.ts';

/** What is wrong with one field of a provider's secret. */
export interface ClientProblem {
  /** Path of the field, such as `variables.subdomain`. */
  readonly field: string;
  /** What it must be or why it is wrong, after the field's name; repeats no value. */
  readonly problem: string;
  /** It does no harm: nothing reads the field. */
  readonly harmless: boolean;
}

/**
 * What keeps a well-formed client from being used: variables of the address that are missing, unfit or of another name, a
 * private key that cannot sign. What differs by integration is not known here, and nothing is said of it.
 */
export function problemsOfClient(client: ProviderClient): ClientProblem[] {
  const { variables: given, privateKey } = client;
  const { variables: defined, tokenEndpoint, authorizationEndpoint, clientAuthentication } = client.provider;
  const names = Object.keys(defined);
  const problems: ClientProblem[] = Object.keys(given)
    .filter((name) => !Object.hasOwn(defined, name))
    .map((name) => ({
      field: `variables.${name}`,
      problem: `stands for nothing: the address ${names.length === 0 ? 'needs no variables' : `has ${names.join(', ')}`}`,
      harmless: true,
    }));
  const addresses = [tokenEndpoint, authorizationEndpoint].filter((each) => each !== undefined);
  for (const [name, variable] of Object.entries(defined)) {
    const isNeeded = addresses.some((address) => address.includes(`{${name}}`));
    if (!isNeeded || variable.from !== 'client') continue;
    const field = `variables.${name}`;
    const value = Object.hasOwn(given, name) ? given[name] : variable.default;
    if (value === undefined) {
      problems.push({ field, problem: `needed in the address: ${variable.description}`, harmless: false });
    } else if (addresses.some((address) => isUnfit(client, address, name))) {
      problems.push({ field, problem: `must be ${variable.description}`, harmless: false });
    }
  }
  if (clientAuthentication === 'private_key_jwt' && !canSign(privateKey)) {
    problems.push({
      field: 'privateKey',
      problem: 'cannot sign: an RSA (2048 bits or more), P-256 or Ed25519 key is needed, as PKCS #8 in PEM',
      harmless: false,
    });
  }
  return problems;
}

/** Whether it is the value of this variable that cannot stand in the address. */
function isUnfit(client: ProviderClient, address: string, name: string): boolean {
  if (!address.includes(`{${name}}`)) return false;
  const { variables } = client.provider;
  const other = (each: string) => each !== name && variables[each] !== undefined;
  // The others are out of the way: whatever stands in their place is part of neither a host nor a path that is refused.
  const alone = Object.keys(variables)
    .filter(other)
    .reduce((filled, each) => filled.replaceAll(`{${each}}`, 'x'), address);
  const filled = addressOf(client, alone, null);
  return !filled.ok && filled.code === 'provider_variable_invalid';
}
