import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sendTokenRequest } from '../../../lambdas/providers/call.ts';
import type { TokenRequest } from '../../../lambdas/providers/request.ts';
import { granted, refused, startTokenEndpoint, type TokenEndpoint } from '../../support/token-endpoint.ts';

let endpoint: TokenEndpoint;
beforeEach(async () => {
  endpoint = await startTokenEndpoint(() => granted());
});
afterEach(() => endpoint.stop());

function call(changes: Partial<TokenRequest> = {}, { timeoutMs = 5_000 } = {}) {
  const request: TokenRequest = {
    url: endpoint.url,
    method: 'POST',
    headers: {
      accept: 'application/json',
      authorization: 'Basic aWQ6c2VjcmV0',
      'content-type': 'application/x-www-form-urlencoded',
      'user-agent': 'Acme/1',
    },
    body: 'grant_type=refresh_token&refresh_token=%C3%A4',
    ...changes,
  };
  return sendTokenRequest(request, timeoutMs);
}

describe('the request', () => {
  it('is sent as it was built', async () => {
    await call();
    expect(endpoint.calls).toHaveLength(1);
    expect(endpoint.calls[0]).toMatchObject({
      method: 'POST',
      path: '/token',
      headers: {
        accept: 'application/json',
        authorization: 'Basic aWQ6c2VjcmV0',
        'content-type': 'application/x-www-form-urlencoded',
        'user-agent': 'Acme/1',
      },
      body: 'grant_type=refresh_token&refresh_token=%C3%A4',
    });
    expect(endpoint.calls[0]!.headers).not.toHaveProperty('cookie');
  });

  it('may have no body', async () => {
    await call({ method: 'GET', url: `${endpoint.url}?a=b+c`, headers: {}, body: null });
    expect(endpoint.calls[0]).toMatchObject({ method: 'GET', path: '/token?a=b+c', body: '' });
    expect(endpoint.calls[0]!.headers).not.toHaveProperty('content-type');
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
    expect(await call({ url })).toEqual({ kind: 'no_response', reason: 'network_error' });
    expect(await call({ url: 'https://nowhere.invalid/token' })).toEqual({
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
