import { describe, expect, it } from 'vitest';
import { isFailureCode } from '../../../lambdas/domain/failure-codes.ts';
import { addressOf } from '../../../lambdas/providers/address.ts';
import { catalogue, findInCatalogue } from '../../../lambdas/providers/catalogue.ts';
import { clientWithoutSecret, parseProviderClient } from '../../../lambdas/providers/client.ts';
import { type ProviderDefinition, parseDefinition } from '../../../lambdas/providers/definition.ts';
import { buildTokenRequest } from '../../../lambdas/providers/request.ts';

const names = Object.keys(catalogue);
const aliases = names.flatMap((name) => [...(catalogue[name]?.aliases ?? [])]);

function definitionOf(name: string): ProviderDefinition {
  const parsed = parseDefinition(findInCatalogue(name)?.description);
  if (!parsed.ok) throw new Error(`${name}: ${parsed.problems.join()}`);
  return parsed.value;
}

const definitions = names.map((name) => [name, definitionOf(name)] as const);
const renewing = definitions.filter(([, { renewal }]) => renewal !== 'none');

/** A value for each variable that has no default, or more than its default. */
const examples: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  atlassian: { host: ['auth.atlassian-us-gov-mod.com'] },
  auth0: { domain: ['acme.eu.auth0.com', 'login.acme.example'] },
  clover: { api: ['api.eu', 'api.la', 'apisandbox.dev'] },
  docusign: { environment: ['account-d'] },
  facebook: { version: ['v19.0', 'v100.1'] },
  github: { host: ['github.acme.example'] },
  gitlab: { host: ['gitlab.acme.example'] },
  keycloak: { host: ['id.acme.example'], realm: ['acme', 'Acme.Prod'], path: ['auth/realms'] },
  microsoft: {
    tenant: ['organizations', 'consumers', 'contoso.onmicrosoft.com', '8eaef023-2b34-4da1-9baa-8bc8c9d6a490'],
  },
  oidc: { host: ['id.acme.example'], path: ['token', 'oauth2/v1/token'] },
  okta: { domain: ['acme.okta.com'], path: ['oauth2/default', 'oauth2/aus1a2b3c'] },
  paypal: { environment: ['api-m.sandbox'] },
  ringcentral: { environment: ['platform.devtest'] },
  salesforce: { login_domain: ['login', 'acme.my', 'acme--uat.sandbox.my', 'acme-dev-ed.develop.my'] },
  'salesforce-sandbox': { login_domain: ['test', 'acme--uat.sandbox.my'] },
  shopify: { shop: ['acme', 'acme-2'] },
  square: { domain: ['squareupsandbox'] },
  zendesk: { subdomain: ['acme'] },
  zoho: { data_center: ['zoho.eu', 'zoho.com.au', 'zohocloud.ca'] },
};

describe('the catalogue', () => {
  it('knows every provider that the product’s users may connect', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        'airtable',
        'asana',
        'atlassian',
        'auth0',
        'bitbucket',
        'box',
        'calendly',
        'clickup',
        'discord',
        'docusign',
        'dropbox',
        'facebook',
        'github',
        'gitlab',
        'google',
        'gumroad',
        'hubspot',
        'instagram',
        'intercom',
        'kit',
        'linear',
        'linkedin',
        'mailchimp',
        'manychat',
        'microsoft',
        'monday',
        'notion',
        'oidc',
        'okta',
        'paypal',
        'pinterest',
        'quickbooks',
        'reddit',
        'salesforce',
        'salesforce-sandbox',
        'shopify',
        'slack',
        'spotify',
        'square',
        'stripe',
        'stripe-app',
        'threads',
        'tiktok',
        'tiktok-business',
        'trello',
        'twitch',
        'twitter',
        'typeform',
        'xero',
        'zendesk',
        'zoom',
      ]),
    );
    expect(aliases).toEqual(
      expect.arrayContaining([
        'confluence',
        'excel',
        'gmail',
        'google-ads',
        'google-analytics',
        'google-calendar',
        'google-docs',
        'google-drive',
        'google-sheets',
        'jira',
        'onedrive',
        'onenote',
        'outlook',
        'teams',
        'x',
        'youtube',
      ]),
    );
  });

  it('has names and aliases in order, each once, that can be the end of a secret’s name', () => {
    const all = [...names, ...aliases];
    expect(all.filter((name) => !/^[a-z0-9-]+$/.test(name))).toEqual([]);
    expect(all.filter((name, index) => all.indexOf(name) !== index)).toEqual([]);
    expect(names).toEqual(names.toSorted());
  });

  it('finds an entry by its aliases, and knows nothing else', () => {
    expect(findInCatalogue('gmail')).toEqual(findInCatalogue('google'));
    expect(findInCatalogue('x')?.name).toBe('twitter');
    for (const name of ['', 'Google', 'constructor', '__proto__']) expect(findInCatalogue(name)).toBeNull();
  });

  it.each(names)('can read %s', (name) => {
    expect(parseDefinition(findInCatalogue(name)?.description)).toMatchObject({ ok: true });
  });

  it('shows names to users that differ', () => {
    const shown = definitions.map(([, { displayName }]) => displayName);
    expect(shown.filter((each, index) => shown.indexOf(each) !== index)).toEqual([]);
  });

  it('names the vendor’s page of each', () => {
    for (const [name, { documentation }] of definitions) {
      expect(documentation, name).toMatch(/^https:\/\/[a-z0-9.-]+\.[a-z]+\/\S*$/);
    }
  });

  it('has a sentence for every code of a rule, and none for what is not renewed', () => {
    for (const [name, { errorRules, renewal }] of definitions) {
      for (const { code, meaning } of errorRules) {
        expect(isFailureCode(code ?? ''), `${name}: ${code} (${meaning})`).toBe(true);
      }
      if (renewal === 'none') expect(errorRules, name).toEqual([]);
    }
  });

  it('has notes that are sentences', () => {
    for (const name of names) {
      for (const note of catalogue[name]?.notes ?? []) expect(note, name).toMatch(/^[\p{Lu}`].*[.`]$/u);
    }
  });

  it('says when what only the user renews comes to its end', () => {
    const ending = renewing.filter(
      ([, { refreshTokenLifetime }]) => refreshTokenLifetime?.from === 'authorization',
    );
    expect(ending.map(([name]) => name)).toEqual(['atlassian', 'linkedin', 'spotify']);
  });
});

describe('an address of the catalogue', () => {
  const client = (definition: ProviderDefinition, variables: Readonly<Record<string, string>>) => ({
    provider: definition,
    variables,
  });

  it.each(renewing)(
    'of %s is https, with every value that its variables are described by',
    (name, definition) => {
      const described = examples[name] ?? {};
      expect(Object.keys(described).toSorted()).toEqual(
        Object.keys(definition.variables)
          .filter(
            (variable) => variable in described || definition.variables[variable]?.default === undefined,
          )
          .toSorted(),
      );
      const plain = Object.fromEntries(
        Object.entries(definition.variables).map(([variable, { default: usual }]) => [
          variable,
          usual ?? described[variable]?.[0] ?? '',
        ]),
      );
      const tried = [
        plain,
        ...Object.entries(described).flatMap(([variable, values]) =>
          values.map((value) => ({ ...plain, [variable]: value })),
        ),
      ];
      for (const values of tried) {
        for (const template of [definition.tokenEndpoint, definition.authorizationEndpoint]) {
          if (template === undefined) continue;
          const filled = addressOf(client(definition, {}), template, values);
          const own = addressOf(client(definition, values), template, null);
          expect(own, `${template} ${JSON.stringify(values)}`).toMatchObject({ ok: true });
          const url = new URL(own.ok ? own.url : '');
          expect(url.protocol).toBe('https:');
          expect(url.href).toBe(own.ok ? own.url : '');
          // What an integration may say is found there as well.
          const ofIntegration = Object.values(definition.variables).every(
            ({ from }) => from === 'integration',
          );
          if (ofIntegration) expect(filled).toEqual(own);
        }
      }
    },
  );

  it('leads nowhere else, whatever an integration holds', () => {
    const hostile = [
      '',
      'evil.example',
      'evil.example/',
      'evil.example#',
      'evil.example?',
      'evil.example\\',
      'a@evil.example',
      'a:b@evil',
      'acme.evil',
      '../..',
      '127.0.0.1',
      '%2f',
      'acme/',
      'acme\n',
      ' acme',
      'ａcme',
      'zoho.com.evil',
      'login.my.evil',
      '-',
      '.',
    ];
    for (const [name, definition] of renewing) {
      for (const [variable, { from }] of Object.entries(definition.variables)) {
        if (from !== 'integration') continue;
        for (const value of hostile) {
          const filled = addressOf(client(definition, {}), definition.tokenEndpoint ?? '', {
            [variable]: value,
          });
          expect(filled.ok, `${name} {${variable}} = ${JSON.stringify(value)}`).toBe(false);
        }
      }
    }
  });

  it('needs nothing of an integration where the provider is one for all', () => {
    const differing = renewing
      .filter(([, { variables }]) =>
        Object.values(variables).some(
          ({ from, default: usual }) => from === 'integration' && usual === undefined,
        ),
      )
      .map(([name]) => name);
    expect(differing).toEqual(['shopify', 'zendesk', 'zoho']);
  });
});

describe('a secret for a provider of the catalogue', () => {
  const credentials = { clientId: 'id', clientSecret: 'secret' };

  it.each(renewing)('of %s needs credentials, and the values that have no default', (name, definition) => {
    const variables = Object.fromEntries(
      Object.entries(definition.variables)
        .filter(([, { from, default: usual }]) => from === 'client' && usual === undefined)
        .map(([variable]) => [variable, examples[name]?.[variable]?.[0] ?? '']),
    );
    expect(parseProviderClient(name, JSON.stringify({ ...credentials, variables }))).toMatchObject({
      ok: true,
    });
  });

  it.each(renewing)('of %s makes a request that can be sent', async (name, definition) => {
    const all = Object.fromEntries(
      Object.entries(definition.variables).map(([variable, { default: usual }]) => [
        variable,
        usual ?? examples[name]?.[variable]?.[0] ?? '',
      ]),
    );
    const built = await buildTokenRequest(
      { ...credentials, privateKey: null, keyId: null, variables: all, provider: definition },
      { token: 'the-token', variables: null },
      { nowSeconds: Date.now() / 1000 },
    );
    expect(built).toMatchObject({ ok: true });
    if (!built.ok) return;
    const { method, headers, body, url } = built.request;
    expect(() => new Request(url, { method, headers, body })).not.toThrow();
    expect(`${url} ${body}`).toContain('the-token');
  });

  it('is not needed where nothing of a client is sent, or nothing is renewed', () => {
    const without = names.filter((name) => clientWithoutSecret(name) !== null);
    expect(without).toEqual([
      'clickup',
      'gumroad',
      'instagram',
      'intercom',
      'mailchimp',
      'manychat',
      'stripe',
      'threads',
      'trello',
    ]);
  });

  it('of Stripe Apps is the secret key alone', async () => {
    const parsed = parseProviderClient('stripe-app', JSON.stringify({ clientSecret: 'sk_live_1' }));
    if (!parsed.ok) throw new Error(parsed.problems.join());
    const built = await buildTokenRequest(parsed.value, { token: 'rt', variables: null }, { nowSeconds: 0 });
    expect(built.ok && built.request.headers.authorization).toBe(
      `Basic ${Buffer.from('sk_live_1:').toString('base64')}`,
    );
    expect(parseProviderClient('stripe-app', JSON.stringify({ clientId: 'ca_1' }))).toMatchObject({
      ok: false,
      problems: [expect.stringContaining('clientSecret')],
    });
  });
});
