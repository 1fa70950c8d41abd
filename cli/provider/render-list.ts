import type { Output } from '../output.ts';
import { table } from '../table.ts';
import { counted, listed } from '../words.ts';
import { guardLines } from './guard-lines.ts';
import type { ListedProvider } from './list.ts';

const lineWidth = 100;
const longestDisplayName = 22;

/** What `provider list` prints for people; `now`: of the database, `null` where it did not say. */
export function renderProviders(
  providers: readonly ListedProvider[],
  now: string | null,
  style: Output['style'],
): string[] {
  const isUsed = ({ client, integrations, circuit, disconnectionsHeld }: ListedProvider) =>
    client === 'own' ||
    client === 'shared' ||
    client === 'unusable' ||
    (integrations ?? 0) > 0 ||
    circuit !== null ||
    disconnectionsHeld !== null;
  const used = providers.filter(isUsed);
  const rest = providers.filter((provider) => !isUsed(provider));
  const withoutClient = rest.filter(({ client }) => client === 'not_needed');
  return [
    ...configured(used, style),
    ...problems(used, style),
    ...(now === null ? [] : guards(used, now, style)),
    '',
    ...others(
      rest.filter(({ client }) => client !== 'not_needed'),
      style,
    ),
    ...wrapped(
      'Renewed without a client, so there is nothing to set: ',
      withoutClient.filter(({ renewal }) => renewal !== 'none').map(({ name }) => name),
    ),
    ...wrapped(
      'Never renewed, so there is nothing to set: ',
      withoutClient.filter(({ renewal }) => renewal === 'none').map(({ name }) => name),
    ),
    ...aliases(providers),
  ];
}

function configured(providers: readonly ListedProvider[], style: Output['style']): string[] {
  if (providers.length === 0) {
    return ['No provider is configured yet. evergrant provider set <name> asks for our client there.'];
  }
  const rows = providers.map((provider) => [
    provider.name,
    displayNameOf(provider),
    clientText(provider, style),
    authenticationText(provider),
    rotationText(provider),
    provider.integrations === null ? '?' : provider.integrations.toLocaleString('en-US'),
  ]);
  return withTitles(
    table(
      [
        { title: 'Configured' },
        { title: 'Provider' },
        { title: 'Client' },
        { title: 'Authentication' },
        { title: 'Rotation' },
        { title: 'Connected', align: 'right' },
      ],
      rows,
    ),
    style,
  );
}

function clientText({ client, catalogueName, definedBy }: ListedProvider, style: Output['style']): string {
  switch (client) {
    case 'own':
      return definedBy === 'secret' ? 'own secret, custom' : 'own secret';
    case 'shared':
      return `secret of ${catalogueName}`;
    case 'not_needed':
      return 'not needed';
    case 'missing':
      return style('red', 'missing');
    case 'unusable':
      return style('red', 'unusable');
  }
}

function authenticationText({ clientAuthentication }: ListedProvider): string {
  switch (clientAuthentication) {
    case 'client_secret_basic':
      return 'basic';
    case 'client_secret_basic_raw':
      return 'basic, raw';
    case 'client_secret_as_user':
      return 'secret as user';
    case 'client_secret_post':
      return 'post';
    case 'private_key_jwt':
      return 'private key';
    case 'none':
      return 'id only';
    case 'anonymous':
      return 'nothing';
    case null:
      return '—';
  }
}

function rotationText({ renewal, rotation }: ListedProvider): string {
  if (renewal === null) return '—';
  return renewal === 'refresh_token' ? String(rotation) : renewal === 'none' ? 'no renewal' : 'exchange';
}

function problems(providers: readonly ListedProvider[], style: Output['style']): string[] {
  return providers.flatMap(({ name, client, catalogueName, problem, integrations }) => {
    if (problem !== null) return ['', `${style('red', `${name}: its secret is unusable.`)} ${problem}`];
    if (client !== 'missing' || !integrations) return [];
    const count = `${counted(integrations, 'connected integration')} ${integrations === 1 ? 'waits' : 'wait'} for our client`;
    return ['', `${style('red', `${name}: ${count}.`)} evergrant provider set ${catalogueName ?? name}`];
  });
}

function guards(providers: readonly ListedProvider[], now: string, style: Output['style']): string[] {
  const lines = guardLines(
    {
      circuits: providers.flatMap(({ circuit }) => circuit ?? []),
      disconnectionsHeld: providers.flatMap(({ disconnectionsHeld }) => disconnectionsHeld ?? []),
    },
    now,
    style,
  );
  return lines.length === 0 ? [] : ['', ...lines];
}

/** What could be configured, and what it takes. */
function others(providers: readonly ListedProvider[], style: Output['style']): string[] {
  if (providers.length === 0) return [];
  const rows = providers.map((provider) => [
    provider.name,
    displayNameOf(provider),
    authenticationText(provider),
    rotationText(provider),
    needsText(provider),
  ]);
  return [
    ...withTitles(
      table(
        [
          { title: 'Not configured' },
          { title: 'Provider' },
          { title: 'Authentication' },
          { title: 'Rotation' },
          { title: 'provider set needs' },
        ],
        rows,
      ),
      style,
    ),
    '',
  ];
}

function needsText({ clientAuthentication, variables }: ListedProvider): string {
  const credentials = {
    client_secret_basic: ['id', 'secret'],
    client_secret_basic_raw: ['id', 'secret'],
    client_secret_as_user: ['secret'],
    client_secret_post: ['id', 'secret'],
    private_key_jwt: ['id', 'private key'],
    none: ['id'],
    anonymous: [],
  }[clientAuthentication ?? 'anonymous'];
  return listed([...credentials, ...variables]);
}

function aliases(providers: readonly ListedProvider[]): string[] {
  const having = providers.filter((provider) => provider.aliases.length > 0);
  if (having.length === 0) return [];
  return [
    '',
    'Other names that share the client of a provider, unless they have a secret of their own:',
    ...having.flatMap((provider) => wrapped(`  ${provider.name}: `, provider.aliases)),
  ];
}

/** Words after a label, in lines that begin below the first. */
function wrapped(label: string, words: readonly string[]): string[] {
  if (words.length === 0) return [];
  const lines: string[] = [];
  let line = label;
  for (const [index, word] of words.entries()) {
    const part = index === words.length - 1 ? word : `${word},`;
    const joined = line.endsWith(' ') ? line + part : `${line} ${part}`;
    if (joined.length > lineWidth) {
      lines.push(line);
      line = `    ${part}`;
    } else line = joined;
  }
  return [...lines, line];
}

function displayNameOf({ displayName }: ListedProvider): string {
  if (displayName === null) return '—';
  return displayName.length > longestDisplayName
    ? `${displayName.slice(0, longestDisplayName - 1)}…`
    : displayName;
}

function withTitles([titles = '', ...rows]: string[], style: Output['style']): string[] {
  return [style('bold', titles), ...rows];
}
