import type { ProviderClient } from './client.ts';
import { fillIn, type ProviderDefinition } from './definition.ts';

/** Values of variables, by their names. */
export type Variables = Readonly<Record<string, string>>;

/** An operator's fault; `fix` names the variable and repeats no value. */
interface AddressFault {
  readonly ok: false;
  readonly code: string;
  readonly fix: string;
}

export type FilledAddress = { readonly ok: true; readonly url: string } | AddressFault;

type Place = 'host' | 'path' | 'query';

const longestValue = 255;

const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
/** A host's name, or a part of one. */
const hostName = new RegExp(`^${label}(?:\\.${label})*$`, 'i');
/** A name that is meant to be found in public: no single label, no address, nothing of a network of one's own. */
const publicName = new RegExp(
  `^(?:${label}\\.)+(?!(?:local|localhost|internal|intranet|lan|home|arpa)$)[a-z][a-z0-9-]*$`,
  'i',
);
/** Segments of a path, of characters that need no encoding (RFC 3986 §2.3). */
const segments = /^[\w.~-]+(?:\/[\w.~-]+)*$/;

/**
 * An address of a definition with its variables filled in: from our client's secret, else from the integration (those
 * that are said to come from there), else by default. Our credentials are sent there, and users may have a hand in
 * what an integration holds: a value can never change more than the place where it stands, so neither the scheme,
 * credentials and port, nor what the definition itself writes of the host and the path.
 */
export function addressOf(
  client: Pick<ProviderClient, 'provider' | 'variables'>,
  template: string,
  ofIntegration: Variables | null,
): FilledAddress {
  const [, scheme = '', host = '', path = '', rest = ''] =
    /^(https?:\/\/)([^/\\?#]*)([^?#]*)(.*)$/s.exec(template) ?? [];
  const faults: AddressFault[] = [];
  const inHost: Found[] = [];
  const fill = (part: string, place: Place) =>
    fillIn(part, (name) => {
      const found = find(client, name, ofIntegration);
      if (!found.ok) faults.push(found);
      else if (!isFit(found, place)) faults.push(found.invalid);
      else {
        if (place === 'host') inHost.push(found);
        return place === 'query' ? encodeURIComponent(found.value) : found.value;
      }
      return 'x';
    });
  const filledHost = fill(host, 'host');
  const url = `${scheme}${filledHost}${fill(path, 'path')}${fill(rest, 'query')}`;
  if (faults[0] !== undefined) return faults[0];

  // The most doubtful one is named where only the host as a whole can be judged.
  const doubtful = inHost.find(({ isOfIntegration }) => isOfIntegration) ?? inHost[0];
  if (doubtful === undefined) return { ok: true, url };
  const name = filledHost.replace(/:\d+$/, '').toLowerCase();
  // A parser may make an address of what looks like a name ("0x7f.1").
  const isAsWritten = URL.parse(url)?.hostname === name;
  return isAsWritten && (!doubtful.isOfIntegration || publicName.test(name))
    ? { ok: true, url }
    : doubtful.invalid;
}

/** Hosts and parts of them that belong to anybody. A pattern that says which hosts are meant takes none of them. */
const strangers = [
  'stranger',
  'stranger-1',
  'stranger.com',
  'stranger-1.example',
  'a.b.stranger.example',
  'zz',
  'zzz',
];

/**
 * Names of the variables by which an integration could name any host of the internet, as neither their pattern nor what
 * the definition writes behind them says whose it is. Our credentials and the user's token are sent there.
 */
export function variablesOfAnyHost({
  tokenEndpoint = '',
  variables,
}: Pick<ProviderDefinition, 'tokenEndpoint' | 'variables'>): readonly string[] {
  const host = /^https?:\/\/([^/\\?#]*)/.exec(tokenEndpoint)?.[1]?.replace(/:\d+$/, '') ?? '';
  return [...host.matchAll(/\{(\w+)\}/g)]
    .filter(({ 1: name = '', index, 0: expression }) => {
      const variable = variables[name];
      if (variable?.from !== 'integration') return false;
      const behind = host.slice(index + expression.length);
      // "{shop}.acme.com" and "{shop}-api.acme.com" are acme.com's; "{shop}acme.com" and "{shop}.com" are anybody's.
      if (/^[^.{}]*(?:\.[^.{}]+){2,}$/.test(behind)) return false;
      return strangers.some((stranger) => new RegExp(`^(?:${variable.pattern})$`, 'i').test(stranger));
    })
    .map(({ 1: name = '' }) => name);
}

/** A value for a variable. */
interface Found {
  readonly ok: true;
  readonly value: string;
  readonly pattern: string;
  readonly isOfIntegration: boolean;
  /** What to say if it does not do. */
  readonly invalid: AddressFault;
}

function find(
  { provider, variables }: Pick<ProviderClient, 'provider' | 'variables'>,
  name: string,
  ofIntegration: Variables | null,
): Found | AddressFault {
  const variable = Object.hasOwn(provider.variables, name) ? provider.variables[name] : undefined;
  const own = Object.hasOwn(variables, name) ? variables[name] : undefined;
  const mayBeOfIntegration = own === undefined && variable?.from === 'integration';
  const theirs =
    mayBeOfIntegration && ofIntegration !== null && Object.hasOwn(ofIntegration, name)
      ? ofIntegration[name]
      : undefined;
  const value = withoutSuffix(own ?? theirs ?? variable?.default, variable?.suffix);
  const whatItIs = `${provider.displayName} needs it in its address (${variable?.description ?? 'unknown'})`;
  if (variable === undefined || value === undefined) {
    return mayBeOfIntegration
      ? {
          ok: false,
          code: 'integration_variable_missing',
          fix: `Write ${name} into integrations.metadata when an account is connected: ${whatItIs}.`,
        }
      : {
          ok: false,
          code: 'provider_variable_missing',
          fix: `Put ${name} into variables of the provider's secret: ${whatItIs}.`,
        };
  }
  return {
    ok: true,
    value,
    pattern: variable.pattern,
    isOfIntegration: theirs !== undefined,
    invalid:
      theirs !== undefined
        ? {
            ok: false,
            code: 'integration_variable_invalid',
            fix: `Mend ${name} in integrations.metadata, and look at what writes it: ${whatItIs}.`,
          }
        : {
            ok: false,
            code: 'provider_variable_invalid',
            fix: `Mend ${name} in variables of the provider's secret: ${whatItIs}.`,
          },
  };
}

function withoutSuffix(value: string | undefined, suffix = ''): string | undefined {
  const isFollowed = suffix !== '' && value?.toLowerCase().endsWith(suffix.toLowerCase());
  return isFollowed ? value?.slice(0, -suffix.length) : value;
}

function isFit({ value, pattern, isOfIntegration }: Found, place: Place): boolean {
  if (value.length > longestValue || !new RegExp(`^(?:${pattern})$`).test(value)) return false;
  switch (place) {
    case 'host':
      return hostName.test(value);
    case 'path':
      // An integration names one segment; ".", ".." and what they could become part of name other ones.
      return (
        segments.test(value) &&
        !(isOfIntegration && value.includes('/')) &&
        !value.split('/').some((each) => /^\.+$/.test(each))
      );
    case 'query':
      return value.isWellFormed();
  }
}
