import type { CatalogueEntry } from '../../lambdas/providers/catalogue/entry.ts';
import { type ProviderDefinition, parseDefinition } from '../../lambdas/providers/definition.ts';
import { guide } from './guide.ts';

interface Provider {
  readonly name: string;
  readonly entry: CatalogueEntry;
  readonly definition: ProviderDefinition;
}

/** The page `docs/providers.md`. Pure. */
export function renderPage(catalogue: Readonly<Record<string, CatalogueEntry>>): string {
  const providers = Object.entries(catalogue).map(([name, entry]) => described(name, entry));
  const renewed = providers.filter(({ definition }) => definition.renewal !== 'none');
  const others = providers.filter(({ definition }) => definition.renewal === 'none');
  const sections = [
    `# Providers

The first half says how a provider is configured. The second half is the catalogue: ${renewed.length} providers whose tokens are
renewed, and ${others.length} that need nothing. Written by \`npm run providers\`, wholly, from \`lambdas/providers/catalogue/\`.`,
    guide,
    `## The catalogue

The name is what stands in \`integrations.provider\`, and at the end of the secret's name.

- **request**: how our client is named (\`post\`: id and secret among the parameters; \`basic\`: in the Authorization
  header; \`id only\`: a public client; \`no client\`: nothing of it is sent), and how the parameters travel.
- **access token**: how long it lives where the answer does not say.
- **new refresh token**: whether a refresh brings one, and how long the one before may still be used. Where there is
  none, the access token itself is exchanged for a fresh one before it ends.
- **its life**: counted anew from each refresh, or from the authorization, after which only the user can renew it.

${catalogueTable(renewed)}

Where a lifetime is empty, none is documented. ${links(renewed)}`,
    `### Other names

Integrations that are kept under these names use the client of the provider beside them, unless they have a secret of
their own.

${table(
  ['provider', 'also known as'],
  providers
    .filter(({ entry }) => entry.aliases !== undefined)
    .map(({ name, entry }) => [code(name), (entry.aliases ?? []).map(code).join(', ')]),
)}`,
    `### Variables

What an address needs to know. From the \`secret\`: the same for all users, in \`variables\`. From the \`row\`: it differs
by user, and is read from \`integrations.metadata\`, where the product writes it when an account is connected. The secret
outweighs the row.

${table(
  ['provider', 'variable', 'from', 'what it is', 'by default'],
  renewed.flatMap(({ name, definition }) =>
    Object.entries(definition.variables).map(([variable, { from, description, default: usual }]) => [
      code(name),
      code(variable),
      from === 'client' ? 'secret' : 'row',
      description,
      usual === undefined ? '' : code(usual),
    ]),
  ),
)}`,
    `### Kept fields

Fields of each answer that the product may need: they are written into \`integrations.metadata\`.

${table(
  ['provider', 'fields'],
  renewed
    .filter(({ definition }) => definition.keptFields.length > 0)
    .map(({ name, definition }) => [code(name), definition.keptFields.map(code).join(', ')]),
)}`,
    `### Without renewal

Nothing renews their access tokens, and most never expire: their rows are left alone, whatever \`expires_at\` says. Those
of ${ending(others)} end: of rows with an \`expires_at\`, the user is told before it comes. They need no secret.

${table(
  ['name', 'provider', ''],
  others.map(({ name, entry }) => [
    code(name),
    `[${entry.displayName}][${name}]`,
    (entry.notes ?? []).join(' '),
  ]),
)}

${links(others)}`,
    `## Worth knowing

${renewed
  .filter(({ entry }) => entry.notes !== undefined)
  .map(
    ({ name, entry }) =>
      `### ${entry.displayName} (\`${name}\`)\n\n${(entry.notes ?? []).map((note) => wrapped(`- ${note}`)).join('\n')}`,
  )
  .join('\n\n')}`,
  ];
  return `${sections.join('\n\n')}\n`;
}

function described(name: string, entry: CatalogueEntry): Provider {
  const { aliases: _, notes: __, ...description } = entry;
  const parsed = parseDefinition(description, name);
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return { name, entry, definition: parsed.value };
}

function ending(providers: readonly Provider[]): string {
  return providers
    .filter(({ definition }) => definition.accessTokenLifetimeSeconds !== undefined)
    .map(({ name }) => code(name))
    .join(', ');
}

function catalogueTable(providers: readonly Provider[]): string {
  return table(
    ['name', 'provider', 'request', 'access token', 'new refresh token', 'its life', 'variables'],
    providers.map(({ name, entry, definition }) => [
      code(name),
      `[${entry.displayName}][${name}]`,
      request(definition),
      definition.accessTokenLifetimeSeconds === undefined ? '' : span(definition.accessTokenLifetimeSeconds),
      rotation(definition),
      life(definition),
      Object.keys(definition.variables).map(code).join(', '),
    ]),
  );
}

const authentications: Readonly<Record<ProviderDefinition['clientAuthentication'], string>> = {
  client_secret_basic: 'basic',
  client_secret_basic_raw: 'basic, unencoded',
  client_secret_as_user: 'basic, secret alone',
  client_secret_post: 'post',
  private_key_jwt: 'signed',
  none: 'id only',
  anonymous: 'no client',
};

const formats: Readonly<Record<ProviderDefinition['requestFormat'], string>> = {
  form: 'form',
  json: 'JSON',
  query: 'query',
};

function request({ clientAuthentication, requestFormat }: ProviderDefinition): string {
  return `${authentications[clientAuthentication]}; ${formats[requestFormat]}`;
}

function rotation(definition: ProviderDefinition): string {
  if (definition.renewal === 'access_token') return 'there is none';
  const known = { always: 'each time', sometimes: 'sometimes', never: 'no', unknown: '' }[
    definition.rotation
  ];
  return definition.reuseGraceSeconds === 0
    ? known
    : `${known}; the old one for ${span(definition.reuseGraceSeconds)}`;
}

function life({ refreshTokenLifetime: lifetime }: ProviderDefinition): string {
  if (lifetime === undefined) return '';
  return lifetime.from === 'refresh' ? span(lifetime.seconds) : `**${span(lifetime.seconds)} in all**`;
}

function span(seconds: number): string {
  const [unit, length] = (
    [
      ['d', 86_400],
      ['h', 3600],
      ['min', 60],
      ['s', 1],
    ] as const
  ).find((each) => seconds % each[1] === 0) ?? ['s', 1];
  return `${seconds / length} ${unit}`;
}

/** Kept away from the tables, whose source would be unreadable with them. */
function links(providers: readonly Provider[]): string {
  return `The names link to the vendors' own pages.

${providers.map(({ name, entry }) => `[${name}]: ${entry.documentation}`).join('\n')}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`.replaceAll(/ +\|/g, ' |');
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

/** In lines of 120 characters, those of a list item under its first word. Code stays in one piece, to be copied. */
function wrapped(text: string): string {
  const lines = [''];
  for (const word of text.match(/(?:`[^`]*`|[^` ])+/g) ?? []) {
    const line = lines.at(-1) as string;
    if (line !== '' && `${line} ${word}`.length > 120) lines.push(`  ${word}`);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
