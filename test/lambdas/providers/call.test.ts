import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callTokenEndpoint } from '../../../lambdas/providers/call.ts';
import { parseProviderClient } from '../../../lambdas/providers/definition.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

let endpoint: TokenEndpoint;
beforeEach(async () => {
  endpoint = await startTokenEndpoint(() => granted());
});
afterEach(() => endpoint.stop());

const clientId = 'client/one:1';
const clientSecret = 'p+a/s%s: &é';

function call(
  changes: Record<string, unknown> = {},
  {
    refreshToken = 'the refresh+token/=&',
    timeoutMs = 5_000,
    secret = clientSecret as string | undefined,
  } = {},
) {
  const parsed = parseProviderClient(
    JSON.stringify({
      clientId,
      clientSecret: secret,
      provider: { displayName: 'Acme', tokenEndpoint: endpoint.url, ...changes },
    }),
  );
  if (!parsed.ok) throw new Error(parsed.problem);
  return callTokenEndpoint(parsed.client, refreshToken, timeoutMs);
}

const parameters = () => Object.fromEntries(endpoint.calls[0]!.parameters);

describe('the request', () => {
  it('is a form-encoded POST that asks for JSON', async () => {
    await call();
    expect(endpoint.calls).toHaveLength(1);
    expect(endpoint.calls[0]).toMatchObject({ method: 'POST', path: '/token' });
    const { headers } = endpoint.calls[0]!;
    expect(headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/);
    expect(headers.accept).toContain('application/json');
    expect(headers).not.toHaveProperty('cookie');
  });

  it('authenticates by basic: both parts form-encoded before base64 (RFC 6749 §2.3.1), nothing of them in the body', async () => {
    await call();
    const { headers, body } = endpoint.calls[0]!;
    const encodedId = 'client%2Fone%3A1';
    const encodedSecret = 'p%2Ba%2Fs%25s%3A+%26%C3%A9';
    expect(headers.authorization).toBe(
      `Basic ${Buffer.from(`${encodedId}:${encodedSecret}`).toString('base64')}`,
    );
    expect(body).toBe('refresh_token=the+refresh%2Btoken%2F%3D%26&grant_type=refresh_token');
  });

  it('authenticates by post: both in the body, and no header', async () => {
    await call({ clientAuthentication: 'client_secret_post' });
    expect(endpoint.calls[0]!.headers).not.toHaveProperty('authorization');
    expect(parameters()).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'the refresh+token/=&',
      client_id: clientId,
      client_secret: clientSecret,
    });
  });

  it('of a public client has only its id', async () => {
    await call({ clientAuthentication: 'none' }, { secret: undefined });
    expect(endpoint.calls[0]!.headers).not.toHaveProperty('authorization');
    expect(parameters()).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'the refresh+token/=&',
      client_id: clientId,
    });
  });

  it('has the extra parameters of the provider, which replace none of the protocol’s', async () => {
    await call({
      extraParameters: {
        audience: 'https://api.acme.example/?a=b',
        grant_type: 'password',
        refresh_token: 'x',
      },
    });
    expect(parameters()).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'the refresh+token/=&',
      audience: 'https://api.acme.example/?a=b',
    });
    expect(endpoint.calls[0]!.parameters.getAll('grant_type')).toEqual(['refresh_token']);
  });

  it('asks for no scope, so that the grant keeps its own', async () => {
    for (const clientAuthentication of ['client_secret_basic', 'client_secret_post'] as const) {
      await call({ clientAuthentication });
    }
    for (const { parameters: sent } of endpoint.calls) expect(sent.has('scope')).toBe(false);
  });

  it('keeps the query of the token endpoint', async () => {
    await call({ tokenEndpoint: `${endpoint.url}?version=2` });
    expect(endpoint.calls[0]!.path).toBe('/token?version=2');
  });
});

describe('the answer', () => {
  it('is handed on as it came', async () => {
    endpoint.answer = () => ({ ...refused('invalid_grant', 400), headers: { 'retry-after': '7' } });
    const answer = await call();
    expect(answer).toMatchObject({ kind: 'response', status: 400, body: '{"error":"invalid_grant"}' });
    expect(answer.kind === 'response' && answer.headers.get('retry-after')).toBe('7');
  });

  it.each([301, 302, 303, 307, 308])(
    '%i is not followed: our credentials go nowhere else',
    async (status) => {
      const other = await startTokenEndpoint(() => granted());
      endpoint.answer = () => ({ status, headers: { location: other.url } });
      expect(await call()).toMatchObject({ kind: 'response', status });
      expect(other.calls).toEqual([]);
      await other.stop();
    },
  );

  it.each([204, 401, 500])('may be empty (%i)', async (status) => {
    endpoint.answer = () => ({ status });
    expect(await call()).toMatchObject({ kind: 'response', status, body: '' });
  });

  it('may be compressed', async () => {
    endpoint.answer = () => ({
      headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      body: gzipSync(JSON.stringify({ access_token: 'x' })),
    });
    expect(await call()).toMatchObject({ body: '{"access_token":"x"}' });
  });

  it('of any bytes is text', async () => {
    endpoint.answer = () => ({ body: Buffer.from([0xff, 0xfe, 0x00, 0x80]) });
    expect(await call()).toMatchObject({ kind: 'response', body: expect.any(String) });
  });

  it('too large to be one is cut off and not kept', async () => {
    endpoint.answer = () => ({ body: 'x'.repeat(300 * 1024) });
    expect(await call()).toMatchObject({ kind: 'response', status: 200, body: null });
    endpoint.answer = () => ({ body: 'x'.repeat(200 * 1024) });
    expect(await call()).toMatchObject({ kind: 'response', body: expect.stringMatching(/^x+$/) });
  });

  it('too large once unpacked is cut off as well', async () => {
    endpoint.answer = () => ({
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync('x'.repeat(20_000_000)),
    });
    expect(await call()).toMatchObject({ kind: 'response', body: null });
  });

  it('that never begins, or ends, is a timeout', async () => {
    endpoint.answer = () => undefined;
    expect(await call({}, { timeoutMs: 100 })).toEqual({ kind: 'no_response', reason: 'timeout' });
    endpoint.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"access_token":');
      return undefined;
    };
    expect(await call({}, { timeoutMs: 100 })).toEqual({ kind: 'no_response', reason: 'timeout' });
  });

  it('that drips for ever is a timeout', async () => {
    const timers: NodeJS.Timeout[] = [];
    endpoint.answer = (_, response) => {
      response.writeHead(200);
      timers.push(setInterval(() => response.write(' '), 10));
      return undefined;
    };
    expect(await call({}, { timeoutMs: 150 })).toEqual({ kind: 'no_response', reason: 'timeout' });
    for (const timer of timers) clearInterval(timer);
  });

  it('that breaks off is a network error', async () => {
    endpoint.answer = (_, response) => {
      response.destroy();
      return undefined;
    };
    expect(await call()).toEqual({ kind: 'no_response', reason: 'network_error' });
    endpoint.answer = (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"access_token":');
      setTimeout(() => response.destroy(), 20);
      return undefined;
    };
    expect(await call()).toEqual({ kind: 'no_response', reason: 'network_error' });
  });

  it('that nobody gives is a network error', async () => {
    const { url } = endpoint;
    await endpoint.stop();
    expect(await call({ tokenEndpoint: url })).toEqual({ kind: 'no_response', reason: 'network_error' });
    expect(await call({ tokenEndpoint: 'https://nowhere.invalid/token' })).toEqual({
      kind: 'no_response',
      reason: 'network_error',
    });
  });

  it('that is not HTTP is a network error', async () => {
    endpoint.answer = (_, response) => {
      response.socket?.end('SSH-2.0-OpenSSH\r\n\r\n');
      return undefined;
    };
    expect(await call()).toEqual({ kind: 'no_response', reason: 'network_error' });
  });
});
