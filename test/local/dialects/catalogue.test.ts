import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressOf } from '../../../lambdas/providers/address.ts';
import { sendTokenRequest } from '../../../lambdas/providers/call.ts';
import { catalogue } from '../../../lambdas/providers/catalogue.ts';
import { type ProviderClient, parseProviderClient } from '../../../lambdas/providers/client.ts';
import { buildTokenRequest } from '../../../lambdas/providers/request.ts';
import { verdict } from '../../../lambdas/providers/verdict.ts';
import { dialects } from '../../../local/dialects/dialects.ts';
import { TokenServer } from '../../../local/dialects/token-server.ts';
import { expectedRequests, theToken } from './expected-requests.ts';

// Hostile, and what they must become, spelled out: nothing here is encoded by the code that is tested.
const id = { plain: 'a+b/c%d:e f&g', form: 'a%2Bb%2Fc%25d%3Ae+f%26g' };
const secret = { plain: 'h+i/j%k:l m&n=', form: 'h%2Bi%2Fj%25k%3Al+m%26n%3D' };
const basic = 'Basic YSUyQmIlMkZjJTI1ZCUzQWUrZiUyNmc6aCUyQmklMkZqJTI1ayUzQWwrbSUyNm4lM0Q=';
/** A user name cannot hold a colon (RFC 7617 §2). */
const key = { plain: 'h+i/j%k l m&n=', header: 'Basic aCtpL2olayBsIG0mbj06' };
/** Tokens of the server are of letters, digits and these. */
const formEncodedToken = (token: string) =>
  token.replaceAll('+', '%2B').replaceAll('/', '%2F').replaceAll('=', '%3D');

const renewing = Object.keys(catalogue).filter((name) => catalogue[name]?.renewal !== 'none');

test('the catalogue, the dialects and the expectations know the same providers', () => {
  expect(Object.keys(dialects).toSorted()).toEqual(renewing.toSorted());
  expect(Object.keys(expectedRequests).toSorted()).toEqual(renewing.toSorted());
});

describe.each(renewing)('%s', (name) => {
  const expected = expectedRequests[name]!;
  const dialect = dialects[name]!;
  const [ofClient, ofIntegration] = expected.variables;
  const [method = '', address = ''] = expected.request.split(' ');
  const [, realHost = '', path = ''] = /^https:\/\/([^/]+)(.*)$/.exec(address) ?? [];
  const clientSecret = expected.client === 'key' ? key.plain : secret.plain;
  const clock = { nowMs: Date.now() };
  const server = new TokenServer({
    dialect,
    client: { id: id.plain, secret: clientSecret },
    nowMs: () => clock.nowMs,
    keptRequests: 1,
  });
  let client: ProviderClient;

  function clientAt(tokenEndpoint?: string): ProviderClient {
    const needsNone = expected.client === 'nothing';
    const parsed = parseProviderClient(
      name,
      JSON.stringify({
        ...(!needsNone && expected.client !== 'key' && { clientId: id.plain }),
        ...(!needsNone && expected.client !== 'id' && { clientSecret }),
        variables: ofClient,
        ...(tokenEndpoint !== undefined && { provider: { tokenEndpoint } }),
      }),
    );
    if (!parsed.ok) throw new Error(parsed.problems.join());
    return parsed.value;
  }

  beforeAll(async () => {
    const origin = await server.start();
    // Only the host is another; what of the path differs by client stays a variable.
    client = clientAt((clientAt().provider.tokenEndpoint ?? '').replace(/^https:\/\/[^/]+/, origin));
  });
  afterAll(() => server.stop());

  async function attempt(token: string, timeoutMs = 5_000) {
    const built = await buildTokenRequest(
      client,
      { token, variables: ofIntegration },
      { nowSeconds: Date.now() / 1000 },
    );
    if (!built.ok) throw new Error(built.fix);
    const outcome = verdict(client.provider, await sendTokenRequest(built.request, timeoutMs));
    for (const sensitive of [token, clientSecret, secret.form]) {
      if (outcome.kind !== 'refreshed') expect(JSON.stringify(outcome)).not.toContain(sensitive);
    }
    return outcome;
  }

  async function refreshed(token: string) {
    const outcome = await attempt(token);
    expect(outcome).toMatchObject({ kind: 'refreshed' });
    if (outcome.kind !== 'refreshed') throw new Error(outcome.code);
    const { tokens } = outcome;
    return {
      tokens,
      next: dialect.rotation === 'exchange' ? tokens.accessToken : (tokens.refreshToken ?? token),
    };
  }

  test('is called at its own address', () => {
    const own = clientAt();
    expect(addressOf(own, own.provider.tokenEndpoint ?? '', ofIntegration)).toEqual({
      ok: true,
      url: address,
    });
    expect(realHost).not.toBe('');
  });

  test('is asked byte by byte as it documents', async () => {
    const token = server.mint('ada');
    await refreshed(token);
    const [raw] = server.requests;
    const { headers } = raw!;
    const pairs = [
      ...Object.entries(expected.parameters).map(
        ([parameter, value]) => `${parameter}=${value === theToken ? formEncodedToken(token) : value}`,
      ),
      ...(['parameters', 'id'].includes(expected.client) ? [`${expected.clientIdParameter}=${id.form}`] : []),
      ...(expected.client === 'parameters' ? [`client_secret=${secret.form}`] : []),
    ].toSorted();
    expect(raw!.method).toBe(method);
    expect(headers.authorization).toBe({ basic, key: key.header }[expected.client as string]);
    expect(headers).toMatchObject(expected.headers);
    expect(headers.accept).toBe('application/json');
    expect(headers['user-agent']).toMatch(/evergrant/i);
    switch (expected.format) {
      case 'form':
        expect(raw!.target).toBe(path);
        expect(headers['content-type']).toBe('application/x-www-form-urlencoded');
        expect(raw!.body.split('&').toSorted()).toEqual(pairs);
        break;
      case 'query':
        expect(raw!.body).toBe('');
        expect(headers['content-type']).toBeUndefined();
        expect(raw!.target.split('?')[0]).toBe(path);
        expect(raw!.target.split('?')[1]!.split('&').toSorted()).toEqual(pairs);
        break;
      case 'json': {
        expect(raw!.target).toBe(path);
        expect(headers['content-type']).toBe('application/json');
        const plain = Object.fromEntries(
          Object.entries(expected.parameters).map(([parameter, value]) => [
            parameter,
            value === theToken ? token : value,
          ]),
        );
        expect(JSON.parse(raw!.body)).toEqual({
          ...plain,
          ...(expected.client !== 'basic' && { [expected.clientIdParameter]: id.plain }),
          ...(expected.client === 'parameters' && { client_secret: secret.plain }),
        });
        break;
      }
    }
    expect(server.violations).toEqual([]);
  });

  test('is understood, refresh after refresh', async () => {
    const first = server.mint('bob');
    const one = await refreshed(first);
    expect(one.tokens).toMatchObject({
      expiresInSeconds: expected.expiresInSeconds,
      refreshTokenExpiresInSeconds: expected.refreshTokenExpiresInSeconds,
      scopes: expected.scopes,
      kept: expected.kept,
    });
    expect(one.next === first).toBe(dialect.rotation === 'same');
    const two = await refreshed(one.next);
    expect(two.tokens.accessToken).not.toBe(one.tokens.accessToken);
    expect(two.next === one.next).toBe(dialect.rotation === 'same');
    expect(server.calls.some(({ reuse, overlapped }) => reuse || overlapped)).toBe(false);
  });

  test('a dead grant is told from one whose answer was lost', async () => {
    const dead = { kind: 'permanent', invalidRefreshToken: expected.deadGrantIsCertain };
    const token = server.mint('cyd');
    const { next } = await refreshed(token);
    const { graceSeconds = 0, replay, rotation } = dialect;
    if (rotation === 'new' && graceSeconds > 0) {
      const again = await refreshed(token);
      expect(again.next === next).toBe(replay === 'successor');
    }
    if (rotation === 'new' && graceSeconds < Number.POSITIVE_INFINITY) {
      clock.nowMs += graceSeconds * 1000;
      expect(await attempt(token)).toMatchObject(dead);
      expect(server.calls.at(-1)).toMatchObject({ reuse: true });
    }
    const revoked = server.mint('dan');
    server.revoke(revoked);
    expect(await attempt(revoked)).toMatchObject(dead);
    expect(server.violations).toEqual([]);
  });

  test.runIf(['basic', 'key', 'parameters'].includes(expected.client))(
    'a wrong secret is our own fault, and costs no grant',
    async () => {
      const token = server.mint('eve');
      server.setClientSecret('another');
      expect(await attempt(token)).toMatchObject({ kind: 'operator' });
      server.setClientSecret(clientSecret);
      await refreshed(token);
    },
  );

  test('limits and outages pass, and cost no grant', async () => {
    const token = server.mint('fay');
    server.condition = 'limiting';
    expect(await attempt(token)).toMatchObject({
      kind: 'transient',
      retryAfterSeconds: expected.retryAfterSeconds,
    });
    server.condition = 'unavailable';
    expect(await attempt(token)).toMatchObject({ kind: 'transient' });
    server.condition = 'resetting';
    expect(await attempt(token)).toMatchObject({ kind: 'transient', code: 'network_error' });
    server.condition = 'silent';
    const callsBefore = server.calls.length;
    // A busy machine may not even connect in so short a time, and a call that comes late must not find it healthy.
    for (const timeoutMs of [50, 1_000, 10_000]) {
      if (server.calls.length > callsBefore) break;
      expect(await attempt(token, timeoutMs)).toMatchObject({ kind: 'transient', code: 'timeout' });
    }
    await expect.poll(() => server.calls.length).toBeGreaterThan(callsBefore);
    server.condition = 'healthy';
    await refreshed(token);
    expect(server.violations).toEqual([]);
  });
});
