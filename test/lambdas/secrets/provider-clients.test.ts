import { afterEach, describe, expect, it, vi } from 'vitest';
import { catalogue } from '../../../lambdas/providers/catalogue.ts';
import { findProviderClient, ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import type { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';

vi.mock(import('../../../lambdas/providers/catalogue.ts'), async (importOriginal) => {
  const tokenEndpoint = 'https://acme.example/token';
  const entries = {
    acme: { displayName: 'Acme', tokenEndpoint, aliases: ['acme-mail', 'acme-drive'] },
    open: {
      displayName: 'Open',
      tokenEndpoint,
      clientAuthentication: 'anonymous' as const,
      aliases: ['open-too'],
    },
    never: { displayName: 'Never', renewal: 'none' as const },
  };
  return {
    ...(await importOriginal()),
    catalogue: entries,
    findInCatalogue: (name: string) => {
      const found = Object.entries(entries).find(
        ([own, entry]) => own === name || ('aliases' in entry && entry.aliases.includes(name)),
      );
      if (!found) return null;
      const [own, { ...description }] = found;
      delete (description as { aliases?: unknown }).aliases;
      return { name: own, description };
    },
  };
});
afterEach(() => vi.restoreAllMocks());

const credentials = (clientId: string) => JSON.stringify({ clientId, clientSecret: 'canary' });

/** Secrets by their ids, and what was asked for. */
function holding(secrets: Record<string, string>) {
  const asked: string[] = [];
  const forgotten: string[] = [];
  const reader = {
    get: async (id: string) => {
      asked.push(id);
      return secrets[id] ?? null;
    },
    forget: (id: string) => void forgotten.push(id),
  } as unknown as SecretReader;
  return { asked, forgotten, reader, clients: new ProviderClients(reader, 'p/') };
}

describe('our client at a provider', () => {
  it('stands in the secret of its name', async () => {
    const { clients, asked } = holding({ 'p/acme': credentials('one') });
    expect(await clients.get('acme')).toMatchObject({
      ok: true,
      secretId: 'p/acme',
      client: { clientId: 'one', provider: { displayName: 'Acme' } },
    });
    expect(asked).toEqual(['p/acme']);
  });

  it('is for an alias the one of its own secret, else of the provider that it is one of', async () => {
    const { clients, asked } = holding({ 'p/acme': credentials('one'), 'p/acme-drive': credentials('two') });
    expect(await clients.get('acme-drive')).toMatchObject({
      client: { clientId: 'two', provider: { displayName: 'Acme' } },
    });
    expect(await clients.get('acme-mail')).toMatchObject({ secretId: 'p/acme', client: { clientId: 'one' } });
    expect(asked).toEqual(['p/acme-drive', 'p/acme-mail', 'p/acme']);
  });

  it('needs no secret where nothing of a client is sent, and has one where there is one', async () => {
    for (const name of ['open', 'open-too', 'never']) {
      expect(await holding({}).clients.get(name)).toMatchObject({
        ok: true,
        secretId: null,
        client: { clientId: null },
      });
    }
    expect(await holding({ 'p/open': credentials('mine') }).clients.get('open-too')).toMatchObject({
      secretId: 'p/open',
      client: { clientId: 'mine' },
    });
  });

  it('is asked for in the secret that all its names share', async () => {
    expect(await holding({}).clients.get('acme-mail')).toEqual({
      ok: false,
      code: 'provider_not_configured',
      fix: "Create the secret p/acme with the client's credentials.",
    });
    expect(await holding({}).clients.get('nobody')).toMatchObject({
      fix: expect.stringContaining('p/nobody '),
    });
  });

  it('that cannot be read says where, and is read again; the provider’s is not taken instead', async () => {
    const { clients, forgotten } = holding({ 'p/acme-mail': '{"clientId":7}', 'p/acme': credentials('one') });
    expect(await clients.get('acme-mail')).toMatchObject({
      ok: false,
      code: 'provider_secret_malformed',
      fix: expect.stringMatching(/^Mend the secret p\/acme-mail: clientId: /),
    });
    expect(forgotten).toEqual(['p/acme-mail']);
  });

  it('is forgotten under every name that it may stand under', () => {
    const { clients, forgotten } = holding({});
    clients.forget('acme-mail');
    expect(forgotten).toEqual(['p/acme-mail', 'p/acme']);
    forgotten.length = 0;
    clients.forget('acme');
    clients.forget('nobody');
    expect(forgotten).toEqual(['p/acme', 'p/nobody']);
  });

  it('has a name that can be one', async () => {
    const { clients, asked } = holding({});
    for (const name of ['', 'a/b', 'a b', 'x'.repeat(101)]) {
      expect(await clients.get(name)).toMatchObject({ ok: false, code: 'provider_name_invalid' });
    }
    expect(asked).toEqual([]);
  });

  it('that Secrets Manager does not give is an operator’s matter', async () => {
    const failing = { get: () => Promise.reject(new TypeError('canary')) } as unknown as SecretReader;
    expect(await new ProviderClients(failing, 'p/').get('acme')).toEqual({
      ok: false,
      code: 'provider_secret_unavailable',
      fix: 'Secrets Manager did not give p/acme: TypeError.',
    });
    await expect(findProviderClient('acme', 'p/', () => Promise.reject(new TypeError('x')))).rejects.toThrow(
      TypeError,
    );
  });
});

it('the catalogue of these tests is the one that is looked into', () => {
  expect(Object.keys(catalogue)).toEqual(['acme', 'open', 'never']);
});
