import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressOf, type Variables } from '../../../lambdas/providers/address.ts';
import { catalogue, findInCatalogue } from '../../../lambdas/providers/catalogue.ts';
import { type ProviderDescription, parseDefinition } from '../../../lambdas/providers/definition.ts';

type Variable = NonNullable<ProviderDescription['variables']>[string];

function address(
  tokenEndpoint: string,
  variables: Record<string, Partial<Variable>>,
  ofIntegration: Variables | null = null,
  ofClient: Variables = {},
) {
  const parsed = parseDefinition({
    displayName: 'Acme',
    tokenEndpoint,
    variables: Object.fromEntries(
      Object.entries(variables).map(([name, changes]) => [
        name,
        { from: 'integration', pattern: '.*', description: `such as canary-free`, ...changes },
      ]),
    ),
  });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const filled = addressOf({ provider: parsed.value, variables: ofClient }, tokenEndpoint, ofIntegration);
  return filled.ok ? filled.url : filled.code;
}

const shops = 'https://{shop}.myshopify.com/admin/oauth/access_token';
const shop = { shop: { pattern: '[a-z0-9][a-z0-9-]*' } };
const tenants = 'https://login.acme.example/{tenant}/token';

describe('an address', () => {
  it('without variables is what it is, letter for letter', () => {
    for (const plain of [
      'https://acme.example',
      'https://acme.example:8443/a%20b/../c?d=e f',
      'http://127.0.0.1:3000/t',
    ]) {
      expect(address(plain, {})).toBe(plain);
    }
  });

  it('takes values from the client, else the integration, else the definition', () => {
    const variable = { tenant: { pattern: '[a-z]+', default: 'common' } };
    expect(address(tenants, variable, { tenant: 'theirs' }, { tenant: 'ours' })).toBe(
      'https://login.acme.example/ours/token',
    );
    expect(address(tenants, variable, { tenant: 'theirs' })).toBe('https://login.acme.example/theirs/token');
    expect(address(tenants, variable, {})).toBe('https://login.acme.example/common/token');
    expect(address(tenants, variable)).toBe('https://login.acme.example/common/token');
    expect(address(shops, shop, { shop: 'acme-1' })).toBe(
      'https://acme-1.myshopify.com/admin/oauth/access_token',
    );
  });

  it('takes a whole host for its first part, where the definition knows how it goes on', () => {
    const whole = { shop: { ...shop.shop, suffix: '.myshopify.com' } };
    const wanted = 'https://acme-1.myshopify.com/admin/oauth/access_token';
    for (const given of ['acme-1', 'acme-1.myshopify.com', 'acme-1.MyShopify.com']) {
      expect(address(shops, whole, { shop: given })).toBe(wanted);
    }
    for (const given of ['.myshopify.com', 'evil.example/.myshopify.com', 'a.myshopify.com.myshopify.com']) {
      expect(address(shops, whole, { shop: given }), given).toBe('integration_variable_invalid');
    }
  });

  it('takes nothing from an integration that is the client’s to say', () => {
    const variable = { tenant: { from: 'client', pattern: '[a-z]+', default: 'common' } } as const;
    expect(address(tenants, variable, { tenant: 'theirs' })).toBe('https://login.acme.example/common/token');
    expect(address(tenants, { tenant: { from: 'client', pattern: '[a-z]+' } }, { tenant: 'theirs' })).toBe(
      'provider_variable_missing',
    );
  });

  it('names what is missing or wrong, and whose it is to mend', () => {
    expect(address(shops, shop, {})).toBe('integration_variable_missing');
    expect(address(shops, shop, null)).toBe('integration_variable_missing');
    expect(address(shops, shop, { shop: 'A' })).toBe('integration_variable_invalid');
    expect(address(shops, shop, null, { shop: 'A' })).toBe('provider_variable_invalid');
    const parsed = parseDefinition({
      displayName: 'Acme',
      tokenEndpoint: shops,
      variables: {
        shop: { from: 'integration', pattern: '[a-z]+', description: 'the name before .myshopify.com' },
      },
    });
    const filled =
      parsed.ok && addressOf({ provider: parsed.value, variables: {} }, shops, { shop: 'CANARY' });
    expect(filled).toEqual({
      ok: false,
      code: 'integration_variable_invalid',
      fix: 'Mend shop in integrations.metadata, and look at what writes it: Acme needs it in its address (the name before .myshopify.com).',
    });
  });

  it('knows no variables but its own', () => {
    for (const name of ['constructor', 'toString']) {
      expect(address(`https://acme.example/{${name}}`, Object.fromEntries([[name, {}]]), {})).toBe(
        'integration_variable_missing',
      );
    }
  });

  it('holds values against the whole pattern', () => {
    const variable = { shop: { pattern: 'a|b' } };
    expect(address(shops, variable, { shop: 'a' })).toContain('https://a.');
    for (const value of ['ab', 'xa', 'bx', 'a\n', '\na', '']) {
      expect(address(shops, variable, { shop: value })).toBe('integration_variable_invalid');
    }
  });

  it('may be a host as a whole, if it is one that is found in public', () => {
    const whole = 'https://{domain}/oauth2/token';
    expect(address(whole, { domain: {} }, { domain: 'acme.okta.com' })).toBe(
      'https://acme.okta.com/oauth2/token',
    );
    for (const domain of [
      'localhost',
      'metadata',
      'metadata.google.internal',
      'printer.local',
      '169.254.169.254',
      '127.0.0.1',
      '127.1',
      '0x7f.1',
      '2130706433',
      '[::1]',
      'acme.okta.com:8443',
      'acme.okta.com.',
      '-a.okta.com',
      'a..okta.com',
      'a_b.okta.com',
      'acme.ｏkta.com',
    ]) {
      expect(address(whole, { domain: {} }, { domain }), domain).toBe('integration_variable_invalid');
    }
    // The operator may have one of their own.
    expect(address(whole, { domain: {} }, null, { domain: 'sso.corp.internal' })).toBe(
      'https://sso.corp.internal/oauth2/token',
    );
    expect(address(whole, { domain: {} }, null, { domain: '127.1' })).toBe('provider_variable_invalid');
  });

  it('may hold a path of the operator’s, and one segment of an integration’s', () => {
    const nested = 'https://acme.example/{path}/token';
    expect(address(nested, { path: {} }, null, { path: 'oauth2/aus1' })).toBe(
      'https://acme.example/oauth2/aus1/token',
    );
    for (const path of ['a/b', '..', '.', '...', '%2e%2e', 'a%2fb', 'a\\b', 'a?b', 'a#b', '', 'a b', 'é']) {
      expect(address(nested, { path: {} }, { path }), path).toBe('integration_variable_invalid');
    }
    for (const path of ['../x', 'a/../b', '/a', 'a/', 'a//b']) {
      expect(address(nested, { path: {} }, null, { path }), path).toBe('provider_variable_invalid');
    }
  });

  it('encodes what stands in its query', () => {
    expect(address('https://acme.example/token?tenant={tenant}', { tenant: {} }, { tenant: 'a&b=c#d' })).toBe(
      'https://acme.example/token?tenant=a%26b%3Dc%23d',
    );
    expect(address('https://acme.example/token?tenant={tenant}', { tenant: {} }, { tenant: '\ud800' })).toBe(
      'integration_variable_invalid',
    );
  });
});

describe('whatever an integration holds', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.webUrl(),
    fc.ipV4(),
    fc.ipV6(),
    fc.domain(),
    fc
      .array(
        fc.constantFrom(
          'evil.example',
          '@',
          ':',
          '/',
          '\\',
          '?',
          '#',
          '%2f',
          '..',
          '%2e',
          '.',
          '\t',
          '\n',
          'a',
          '1',
          ' ',
          '。',
          '．',
          '｡',
          '／',
          '＠',
          '：',
          '℀',
          'ß',
          'xn--',
          '%00',
          '%40',
          '\0',
          '\r',
          '\u00ad',
          '\u200b',
          '\u202e',
          '\ufeff',
          '[',
          ']',
          '::1',
          '0x7f',
          '0177',
          '127.0.0.1',
          '169.254.169.254',
          '2852039166',
          'localhost',
          ':443',
          'user:pass@',
          '-',
        ),
        { maxLength: 6 },
      )
      .map((parts) => parts.join('')),
  );

  it.each([
    ['https://{v}.myshopify.com/admin/token', /^[a-z0-9.-]+\.myshopify\.com$/i],
    ['https://{v}.myshopify.com:8443/admin/token', /^[a-z0-9.-]+\.myshopify\.com:8443$/i],
    ['https://api.{v}.acme.example/admin/token', /^api\.[a-z0-9.-]+\.acme\.example$/i],
    ['https://acme.example/{v}/admin/token', /^acme\.example$/],
    ['https://acme.example/.{v}/admin/token', /^acme\.example$/],
    ['https://acme.example/admin/token?a={v}&b=c', /^acme\.example$/],
    ['http://127.0.0.1:3000/{v}/admin/token', /^127\.0\.0\.1:3000$/],
  ])('%s stays the provider’s', (template, host) => {
    fc.assert(
      fc.property(hostile, (v) => {
        const filled = address(template, { v: {} }, { v });
        if (!filled.startsWith('http')) {
          expect(filled).toBe('integration_variable_invalid');
          return;
        }
        const url = new URL(filled);
        const meant = new URL(template.replace('{v}', 'x'));
        expect(url.host).toMatch(host);
        expect([url.protocol, url.port, url.username, url.password, url.hash]).toEqual([
          meant.protocol,
          meant.port,
          '',
          '',
          '',
        ]);
        expect(url.pathname).toMatch(/\/admin\/token$/);
        expect(url.pathname.split('/')).toHaveLength(meant.pathname.split('/').length);
        expect([...url.searchParams.keys()]).toEqual([...meant.searchParams.keys()]);
      }),
      { numRuns: 500 },
    );
  });

  it('a host as a whole is the one that is written, and one that is found in public', () => {
    fc.assert(
      fc.property(hostile, fc.constantFrom('', '.okta.example', '.com'), (begin, end) => {
        const v = begin + end;
        const filled = address('https://{v}/oauth2/token', { v: {} }, { v });
        if (!filled.startsWith('http')) {
          expect(filled).toBe('integration_variable_invalid');
          return;
        }
        const url = new URL(filled);
        // Neither an address nor a name of one's own network, and no parser reads it as anything else.
        expect(url.hostname).toBe(v.toLowerCase());
        expect(url.hostname).toMatch(/^([a-z0-9-]+\.)+[a-z][a-z0-9-]*$/);
        expect(url.hostname).not.toMatch(/\.(local|localhost|internal|intranet|lan|home|arpa)$/);
        expect(url.href).toBe(`https://${url.hostname}/oauth2/token`);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    'user:pass@evil.example',
    'evil.example@',
    'evil.example/',
    'evil.example\\',
    'evil.example#',
    'evil.example?',
    'evil.example:443',
    'evil.example%2f',
    'evil.example%00',
    'evil。example',
    'evil．example',
    'evil｡example',
    'evil\u00ad',
    'evil\u200b',
    'e\tvil',
    'evil\n',
    '\revil',
    'evil.',
    '.evil',
    'evil..',
    'Ｅvil',
    '℀',
    '127.0.0.1:80/',
    '[::1]',
    '[::ffff:169.254.169.254]',
  ])('%j fits nowhere before the end of a host', (v) => {
    for (const template of [shops, 'https://api.{shop}.acme.example/token', 'https://{shop}/token']) {
      expect(address(template, { shop: {} }, { shop: v }), template).toBe('integration_variable_invalid');
    }
  });

  const filledByIntegrations = Object.keys(catalogue).filter((name) =>
    Object.values(findInCatalogue(name)?.description.variables ?? {}).some(
      ({ from }) => from === 'integration',
    ),
  );
  const hosts: Readonly<Record<string, RegExp>> = {
    salesforce: /^[a-z0-9.-]+\.salesforce\.com$/,
    'salesforce-sandbox': /^[a-z0-9.-]+\.salesforce\.com$/,
    shopify: /^[a-z0-9-]+\.myshopify\.com$/,
    zendesk: /^[a-z0-9-]+\.zendesk\.com$/,
    zoho: /^accounts\.(zoho\.[a-z.]+|zohocloud\.ca)$/,
  };
  it.each(filledByIntegrations)('the catalogue’s %s keeps our credentials', (name) => {
    const parsed = parseDefinition(findInCatalogue(name)?.description);
    if (!parsed.ok) throw new Error(parsed.problems.join());
    const { tokenEndpoint = '', variables } = parsed.value;
    fc.assert(
      fc.property(hostile, (value) => {
        const held = Object.fromEntries(Object.keys(variables).map((variable) => [variable, value]));
        const filled = addressOf({ provider: parsed.value, variables: {} }, tokenEndpoint, held);
        if (!filled.ok) return;
        const { host } = new URL(filled.url);
        expect(host).toMatch(hosts[name]!);
      }),
      { numRuns: 300 },
    );
  });

  it('some of the catalogue is filled so', () => {
    expect(filledByIntegrations.toSorted()).toEqual(Object.keys(hosts));
  });
});
