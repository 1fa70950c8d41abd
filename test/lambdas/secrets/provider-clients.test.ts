import { describe, expect, it } from 'vitest';
import { findProviderClient, ProviderClients } from '../../../lambdas/secrets/provider-clients.ts';
import type { SecretReader } from '../../../lambdas/secrets/secret-reader.ts';

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
    const { clients, asked } = holding({ 'p/google': credentials('one') });
    expect(await clients.get('google')).toMatchObject({
      ok: true,
      secretId: 'p/google',
      client: { clientId: 'one', provider: { displayName: 'Google' } },
    });
    expect(asked).toEqual(['p/google']);
  });

  it('is for an alias the one of its own secret, else of the provider that it is one of', async () => {
    const { clients, asked } = holding({
      'p/google': credentials('one'),
      'p/google-drive': credentials('two'),
    });
    expect(await clients.get('google-drive')).toMatchObject({
      client: { clientId: 'two', provider: { displayName: 'Google' } },
    });
    expect(await clients.get('gmail')).toMatchObject({ secretId: 'p/google', client: { clientId: 'one' } });
    expect(asked).toEqual(['p/google-drive', 'p/gmail', 'p/google']);
  });

  it('needs no secret where nothing of a client is sent, and has one where there is one', async () => {
    for (const name of ['instagram', 'threads', 'clickup']) {
      expect(await holding({}).clients.get(name)).toMatchObject({
        ok: true,
        secretId: null,
        client: { clientId: null },
      });
    }
    expect(await holding({ 'p/instagram': credentials('mine') }).clients.get('instagram')).toMatchObject({
      secretId: 'p/instagram',
      client: { clientId: 'mine' },
    });
  });

  it('is asked for in the secret that all its names share', async () => {
    expect(await holding({}).clients.get('gmail')).toEqual({
      ok: false,
      code: 'provider_not_configured',
      fix: "Create the secret p/google with the client's credentials.",
    });
    expect(await holding({}).clients.get('nobody')).toMatchObject({
      fix: expect.stringContaining('p/nobody '),
    });
  });

  it('that cannot be read says where, and is read again; the provider’s is not taken instead', async () => {
    const { clients, forgotten } = holding({ 'p/gmail': '{"clientId":7}', 'p/google': credentials('one') });
    expect(await clients.get('gmail')).toMatchObject({
      ok: false,
      code: 'provider_secret_malformed',
      fix: expect.stringMatching(/^Mend the secret p\/gmail: clientId: /),
    });
    expect(forgotten).toEqual(['p/gmail']);
  });

  it('is forgotten under every name that it may stand under', () => {
    const { clients, forgotten } = holding({});
    clients.forget('gmail');
    expect(forgotten).toEqual(['p/gmail', 'p/google']);
    forgotten.length = 0;
    clients.forget('google');
    clients.forget('nobody');
    expect(forgotten).toEqual(['p/google', 'p/nobody']);
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
    expect(await new ProviderClients(failing, 'p/').get('google')).toEqual({
      ok: false,
      code: 'provider_secret_unavailable',
      fix: 'Secrets Manager did not give p/google: TypeError.',
    });
    await expect(
      findProviderClient('google', 'p/', () => Promise.reject(new TypeError('x'))),
    ).rejects.toThrow(TypeError);
  });
});
