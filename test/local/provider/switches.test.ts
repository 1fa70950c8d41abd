import { describe, expect, test } from 'vitest';
import type { LocalProvider } from '../../../local/provider/server.ts';
import { client, connect, refresh, rotate, start } from './harness.ts';

const ACCOUNT = 'ada@example.com';

interface SwitchAnswer {
  status: number;
  body: Record<string, unknown>;
  text: string;
}

async function send(
  provider: LocalProvider,
  method: string,
  path: string,
  body?: unknown,
): Promise<SwitchAnswer> {
  const response = await fetch(`${provider.origin}/_switches${path}`, {
    method,
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: JSON.parse(text), text };
}

test('the state describes the provider and what can be done, and holds no secret', async () => {
  const provider = await start();
  const { refreshToken } = await connect(provider, ACCOUNT);
  provider.faults.add({ delayMs: 1 });
  await rotate(provider, refreshToken);
  const { status, body, text } = await send(provider, 'GET', '');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    name: 'acme-calendar',
    tokenEndpoint: provider.tokenEndpoint,
    client: { clientId: client.clientId },
    accessTokenLifetimeSeconds: 3600,
    grants: 1,
    faults: [{ id: 'fault-1', delayMs: 1, applied: 1 }],
    totals: { calls: 1, reuse: 0, overlapped: 0 },
  });
  expect(body.help).toContainEqual({
    does: 'remove all faults',
    curl: `curl -X DELETE '${provider.origin}/_switches/faults'`,
  });
  expect(text).not.toContain(client.clientSecret);
});

test('faults are added, replaced and removed', async () => {
  const provider = await start();
  const { refreshToken } = await connect(provider, ACCOUNT);
  expect(await send(provider, 'POST', '/faults', { answer: { status: 503 } })).toMatchObject({
    status: 201,
    body: { id: 'fault-1', applied: 0, answer: { status: 503 } },
  });
  expect((await refresh(provider, refreshToken)).status).toBe(503);
  const replaced = [{ id: 'busy', account: ACCOUNT, answer: { status: 429 } }, { delayMs: 1 }];
  expect(await send(provider, 'PUT', '/faults', replaced)).toMatchObject({
    status: 200,
    body: { faults: [{ id: 'busy' }, { id: 'fault-2' }] },
  });
  expect((await refresh(provider, refreshToken)).status).toBe(429);
  expect(await send(provider, 'DELETE', '/faults/busy')).toMatchObject({
    status: 200,
    body: { faults: [{ id: 'fault-2' }] },
  });
  expect(await send(provider, 'DELETE', '/faults')).toMatchObject({ status: 200, body: { faults: [] } });
  expect(await send(provider, 'DELETE', '/faults/busy')).toMatchObject({
    status: 404,
    body: { error: 'not_found', message: expect.stringContaining('busy') },
  });
  await rotate(provider, refreshToken);
});

test('the client secret, the access token lifetime and revocation have their switches', async () => {
  const provider = await start();
  const { refreshToken } = await connect(provider, ACCOUNT);
  const changed = await send(provider, 'PUT', '/client-secret', { clientSecret: 'rotated' });
  expect(changed).toMatchObject({ status: 200, body: { changed: true } });
  expect(changed.text).not.toContain('rotated');
  expect((await refresh(provider, refreshToken)).body.error).toBe('invalid_client');
  await send(provider, 'PUT', '/client-secret', { clientSecret: client.clientSecret });

  expect(await send(provider, 'PUT', '/access-token-lifetime', { seconds: 90 })).toMatchObject({
    status: 200,
    body: { accessTokenLifetimeSeconds: 90 },
  });
  const refreshed = await refresh(provider, refreshToken);
  expect(refreshed.body.expires_in).toBe(90);

  expect(await send(provider, 'POST', '/revoke', { account: ACCOUNT })).toMatchObject({
    status: 200,
    body: { revokedGrants: 1 },
  });
  expect((await refresh(provider, refreshed.body.refresh_token ?? '')).body.error).toBe('invalid_grant');
});

test('calls are listed by account and since a sequence, without tokens', async () => {
  const provider = await start();
  const ada = await connect(provider, ACCOUNT);
  const grace = await connect(provider, 'grace@example.com');
  const next = await rotate(provider, ada.refreshToken);
  await rotate(provider, grace.refreshToken);
  await rotate(provider, next);
  const all = await send(provider, 'GET', '/calls');
  expect(all.body).toMatchObject({
    calls: [{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }],
    totals: { calls: 3, reuse: 0, overlapped: 0 },
  });
  for (const token of [ada.refreshToken, next, grace.refreshToken]) expect(all.text).not.toContain(token);
  const account = encodeURIComponent(ACCOUNT);
  expect((await send(provider, 'GET', `/calls?account=${account}&since=1`)).body).toMatchObject({
    calls: [
      { sequence: 3, account: ACCOUNT, refreshTokenFingerprint: expect.stringMatching(/^[0-9a-f]{12}$/) },
    ],
    totals: { calls: 1 },
  });
});

describe('bad input is refused with the field and the fix', () => {
  const cases: [method: string, path: string, body: unknown, message: RegExp][] = [
    ['POST', '/faults', '{', /^body must be JSON/],
    ['POST', '/faults', [], /^fault must be a JSON object/],
    ['POST', '/faults', {}, /^fault must have at least one of delayMs/],
    ['POST', '/faults', { delay: 5 }, /^fault\.delay is unknown; use id, account/],
    ['POST', '/faults', { delayMs: '5' }, /^fault\.delayMs must be a whole number/],
    ['POST', '/faults', { delayMs: 5, times: 0 }, /^fault\.times must be a whole number from 1/],
    ['POST', '/faults', { delayMs: 5, account: '' }, /^fault\.account must be a string/],
    ['POST', '/faults', { delayMs: 5, id: 'a b' }, /^fault\.id must be/],
    ['POST', '/faults', { delayMs: 5, afterProcessing: true }, /^fault\.afterProcessing needs one of/],
    ['POST', '/faults', { reset: true, hang: true }, /^fault must have only one of/],
    ['POST', '/faults', { reset: false }, /^fault\.reset must be true/],
    ['POST', '/faults', { answer: { status: 99 } }, /^fault\.answer\.status must be a whole number from 200/],
    ['POST', '/faults', { answer: { status: 200, body: 5 } }, /^fault\.answer\.body must be a string or/],
    ['POST', '/faults', { answer: { status: 200, headers: { a: 1 } } }, /^fault\.answer\.headers\.a must be/],
    ['POST', '/faults', { answer: { status: 200, headers: { 'a b': '' } } }, /valid HTTP header/],
    ['PUT', '/faults', { delayMs: 5 }, /^faults must be a JSON array/],
    ['PUT', '/faults', [{ delayMs: 5 }, { hang: 1 }], /^faults\[1\]\.hang must be true/],
    [
      'PUT',
      '/faults',
      [
        { id: 'a', hang: true },
        { id: 'a', reset: true },
      ],
      /^faults\[1\]\.id is used/,
    ],
    ['PUT', '/client-secret', { clientSecret: '' }, /^clientSecret must be a string/],
    ['PUT', '/client-secret', { clientSecret: 'ü' }, /^clientSecret must be printable ASCII/],
    ['PUT', '/client-secret', { secret: 'x' }, /^body\.secret is unknown; use clientSecret/],
    ['PUT', '/access-token-lifetime', { seconds: 1.5 }, /^seconds must be a whole number from 1/],
    ['POST', '/revoke', { account: 7 }, /^account must be a string/],
    ['GET', '/calls?since=x', undefined, /^since must be a whole number/],
    ['GET', '/calls?user=x', undefined, /^user is an unknown query parameter/],
  ];

  test('over HTTP, and nothing changes', async () => {
    const provider = await start();
    provider.faults.add({ id: 'kept', delayMs: 1 });
    for (const [method, path, body, message] of cases) {
      const answer = await send(provider, method, path, body);
      expect(answer, `${method} ${path} ${JSON.stringify(body)}`).toMatchObject({
        status: 400,
        body: { error: 'invalid_input', message: expect.stringMatching(message) },
      });
    }
    expect(provider.faults.list()).toMatchObject([{ id: 'kept' }]);
  });
});

test('an unknown path says what exists', async () => {
  const provider = await start();
  for (const [method, path] of [
    ['GET', '/faultz'],
    ['PATCH', '/faults'],
    ['GET', '/'],
    ['GET', '/faults/a/b'],
  ] as const) {
    expect(await send(provider, method, path)).toMatchObject({
      status: 404,
      body: {
        error: 'not_found',
        message: expect.stringContaining(`${method} /_switches${path}`),
        exists: expect.arrayContaining([
          'GET /_switches',
          'POST /_switches/revoke',
          'DELETE /_switches/faults/:id',
        ]),
      },
    });
  }
});
