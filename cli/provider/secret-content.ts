import { findInCatalogue } from '../../lambdas/providers/catalogue.ts';
import { type ProviderClient, parseProviderClient } from '../../lambdas/providers/client.ts';
import { problemsOfClient } from '../../lambdas/providers/client-problems.ts';
import { CliError } from '../command.ts';

/** The content of a provider's secret, or a change of it, whose shape has not been looked at yet. */
export type SecretContent = Readonly<Record<string, unknown>>;

/** A secret's string as what can be changed field by field; `null`: it cannot. */
export function parseContent(text: string): SecretContent | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * What somebody gave on standard input. The file that Google's console gives is taken for what it says. Throws
 * `CliError`, which repeats nothing of it.
 */
export function readGivenContent(text: string): SecretContent {
  const content = parseContent(text);
  if (content === null) {
    throw new CliError(
      'input_malformed',
      'Standard input is no JSON object; nothing was changed. It takes {"clientId": …, "clientSecret": …} and more: evergrant provider set --help.',
    );
  }
  const { web, installed } = content;
  const google = Object.keys(content).length === 1 ? (web ?? installed) : undefined;
  if (!isRecord(google)) return content;
  return { clientId: google.client_id, clientSecret: google.client_secret };
}

/** JSON Merge Patch, RFC 7396: what is not mentioned stays, and null takes a field out. */
export function changed(content: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const fields = new Map(Object.entries(isRecord(content) ? content : {}));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) fields.delete(name);
    else if (value !== undefined) fields.set(name, changed(fields.get(name), value));
  }
  return Object.fromEntries(fields);
}

/** One change over another, as one: unlike `changed`, it keeps that a field is to go. */
export function laidOver(below: SecretContent, above: SecretContent): SecretContent {
  const fields = new Map(Object.entries(below));
  for (const [name, value] of Object.entries(above)) {
    const before = fields.get(name);
    fields.set(name, isRecord(before) && isRecord(value) ? laidOver(before, value) : value);
  }
  return Object.fromEntries(fields);
}

/** Paths of the fields that two contents differ in; of `variables` and `provider` the fields in them. */
export function differences(before: SecretContent, after: SecretContent): string[] {
  const paths = (content: SecretContent) =>
    new Map(
      Object.entries(content).flatMap(([name, value]) =>
        (name === 'variables' || name === 'provider') && isRecord(value)
          ? Object.entries(value).map(([inner, each]) => [`${name}.${inner}`, JSON.stringify(each)] as const)
          : [[name, JSON.stringify(value)] as const],
      ),
    );
  const [old, young] = [paths(before), paths(after)];
  return [...new Set([...old.keys(), ...young.keys()])].filter((path) => old.get(path) !== young.get(path));
}

/**
 * The client that a content is, and all that is wrong with it: the shape, the definition, credentials, variables, the
 * private key.
 */
export function judgeContent(
  name: string,
  content: SecretContent,
): { readonly client: ProviderClient; readonly problems: null } | { readonly problems: readonly string[] } {
  const parsed = parseProviderClient(name, JSON.stringify(content));
  if (!parsed.ok) return { problems: parsed.problems };
  const problems = problemsOfClient(parsed.value);
  if (problems.length === 0) return { client: parsed.value, problems: null };
  return { problems: problems.map(({ field, problem }) => `${field}: ${problem}`) };
}

/** What has to be known of a client before it is asked for; `null`: its definition is not complete, or wrong. */
export function definitionOf(name: string, content: SecretContent): ProviderClient['provider'] | null {
  const complete = { clientId: 'x', clientSecret: 'x', privateKey: 'x', ...content };
  const parsed = parseProviderClient(name, JSON.stringify(complete));
  return parsed.ok ? parsed.value.provider : null;
}

/** Whether a definition for the name is in the catalogue, under the name or the one that the content extends. */
export function isInCatalogue(name: string, content: SecretContent): boolean {
  const base = typeof content.extends === 'string' ? content.extends : name;
  return findInCatalogue(base) !== null;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
