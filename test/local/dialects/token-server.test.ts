import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Dialect } from '../../../local/dialects/dialect.ts';
import { dialects } from '../../../local/dialects/dialects.ts';
import { TokenServer } from '../../../local/dialects/token-server.ts';

const client = { id: 'app+/%: &1', secret: 'secret+/%: &2' };
const running: TokenServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

async function start(name: string, more: Partial<Dialect> = {}) {
  const clock = { nowMs: Date.now() };
  const dialect = { ...dialects[name]!, ...more };
  const server = new TokenServer({ dialect, client, nowMs: () => clock.nowMs, keptRequests: 5 });
  running.push(server);
  const origin = await server.start();
  return { server, clock, address: `${origin}${dialect.paths[0]!.replace('{path}', 'token')}` };
}

const form = (parameters: Record<string, string>) => new URLSearchParams(parameters).toString();
const formEncoded = (text: string) => form({ '': text }).slice(1);
const basic = `Basic ${btoa(`${formEncoded(client.id)}:${formEncoded(client.secret)}`)}`;

async function post(address: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(address, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });
  return { status: response.status, body: await response.text() };
}

/** Refreshes as RFC 6749 says it. */
async function refresh(address: string, token: string) {
  const { status, body } = await post(address, form({ grant_type: 'refresh_token', refresh_token: token }), {
    authorization: basic,
  });
  return {
    status,
    ...(JSON.parse(body) as { refresh_token?: string; access_token?: string; error?: string }),
  };
}

describe('grants', () => {
  test('a refresh token works once, and using it again ends the whole grant', async () => {
    const { server, address } = await start('oidc');
    const first = server.mint('ada');
    const second = (await refresh(address, first)).refresh_token!;
    const third = (await refresh(address, second)).refresh_token!;
    expect(new Set([first, second, third]).size).toBe(3);
    expect(await refresh(address, first)).toMatchObject({ status: 400, error: 'invalid_grant' });
    expect(await refresh(address, third)).toMatchObject({ status: 400, error: 'invalid_grant' });
    expect(server.calls.map(({ account, refreshed, reuse }) => [account, refreshed, reuse])).toEqual([
      ['ada', true, false],
      ['ada', true, false],
      ['ada', false, true],
      ['ada', false, false],
    ]);
  });

  test('an answer that is lost has spent the token all the same', async () => {
    const { server, address } = await start('oidc');
    const token = server.mint('ada');
    server.answersToLose = 1;
    await expect(refresh(address, token)).rejects.toThrow('fetch failed');
    expect(await refresh(address, token)).toMatchObject({ status: 400, error: 'invalid_grant' });
    expect(server.calls.map(({ status, refreshed, reuse }) => [status, refreshed, reuse])).toEqual([
      [null, true, false],
      [400, false, true],
    ]);
  });

  test('within its grace a spent token brings the same successor, or another pair', async () => {
    const grace = { graceSeconds: 60, reuse: 'refused' } as const;
    const same = await start('oidc', { ...grace, replay: 'successor' });
    const first = same.server.mint('ada');
    const { refresh_token: second } = await refresh(same.address, first);
    expect((await refresh(same.address, first)).refresh_token).toBe(second);
    same.clock.nowMs += 61_000;
    expect((await refresh(same.address, first)).error).toBe('invalid_grant');
    expect((await refresh(same.address, second!)).status).toBe(200);

    const other = await start('oidc', { ...grace, replay: 'another' });
    const token = other.server.mint('ada');
    const one = await refresh(other.address, token);
    const two = await refresh(other.address, token);
    expect([one.status, two.status]).toEqual([200, 200]);
    expect(two.refresh_token).not.toBe(one.refresh_token);
    expect(other.server.calls.some(({ reuse }) => reuse)).toBe(false);
  });

  test('a revoked grant and a strange token are dead, and no reuse', async () => {
    const { server, address } = await start('oidc');
    const token = server.mint('ada');
    server.revoke(token);
    for (const dead of [token, 'never-issued'])
      expect(await refresh(address, dead)).toMatchObject({ status: 400, error: 'invalid_grant' });
    expect(server.calls.map(({ account, reuse }) => [account, reuse])).toEqual([
      ['ada', false],
      [null, false],
    ]);
  });

  test('calls for one grant that overlap are seen', async () => {
    const { server, address } = await start('oidc');
    const token = server.mint('ada');
    server.condition = 'silent';
    const leaving = new AbortController();
    const hanging = fetch(address, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
      headers: { authorization: basic },
      signal: leaving.signal,
    }).catch(() => null);
    await expect.poll(() => server.calls.length).toBe(1);
    server.condition = 'healthy';
    expect((await refresh(address, token)).status).toBe(200);
    leaving.abort();
    await hanging;
    await sleep(50);
    await refresh(address, server.mint('bob'));
    expect(server.calls.map(({ overlapped }) => overlapped)).toEqual([false, true, false]);
  });
});

describe('conditions', () => {
  test('an outage, a limit, broken connections and a wrong secret spend no token', async () => {
    const { server, address } = await start('oidc');
    const token = server.mint('ada');
    server.condition = 'unavailable';
    expect((await post(address, form({ refresh_token: token }))).status).toBe(503);
    server.condition = 'limiting';
    expect((await post(address, form({ refresh_token: token }))).status).toBe(429);
    server.condition = 'resetting';
    await expect(refresh(address, token)).rejects.toThrow();
    server.condition = 'refusing';
    expect(await refresh(address, token)).toMatchObject({ status: 400, error: 'invalid_grant' });
    server.condition = 'healthy';
    server.setClientSecret('another');
    expect(await refresh(address, token)).toMatchObject({ status: 401, error: 'invalid_client' });
    server.setClientSecret(client.secret);
    expect((await refresh(address, token)).status).toBe(200);
    expect(server.calls.map(({ status }) => status)).toEqual([503, 429, null, 400, 401, 200]);
  });
});

describe('what is not as the provider wants it', () => {
  const good = { grant_type: 'refresh_token', refresh_token: 'token' };

  test.each([
    ['another grant type', form({ ...good, grant_type: 'password' }), {}, 'grant_type is "password"'],
    ['a parameter too many', form({ ...good, scope: 'openid' }), {}, 'the parameter scope is not known here'],
    ['no token', form({ grant_type: 'refresh_token' }), {}, 'there is no token'],
    ['a parameter twice', `${form(good)}&refresh_token=token`, {}, 'refresh_token comes twice'],
    [
      'a space as it is',
      'grant_type=refresh_token&refresh_token=a%20b',
      {},
      'refresh_token is not form-encoded',
    ],
    [
      'JSON',
      JSON.stringify(good),
      { 'content-type': 'application/json' },
      'come as application/json, not as form',
    ],
    [
      'two methods of authentication',
      form({ ...good, client_id: 'a', client_secret: 'b' }),
      {},
      'in basic and parameters',
    ],
  ])('%s', async (_, body, headers: Record<string, string>, fault) => {
    const { server, address } = await start('oidc');
    const answer = await post(address, body, { authorization: basic, ...headers });
    expect(answer).toMatchObject({ status: 400 });
    expect(answer.body).toContain('dialect_violation');
    expect(server.violations.join('; ')).toContain(fault);
  });

  test('credentials that are not form-encoded are those of another client', async () => {
    const { server, address } = await start('oidc');
    const raw = `Basic ${btoa(`${client.id}:${client.secret}`)}`;
    const body = form({ grant_type: 'refresh_token', refresh_token: server.mint('ada') });
    expect((await post(address, body, { authorization: raw })).status).toBe(401);
    expect((await post(address, body, { authorization: basic })).status).toBe(200);
  });

  test('another path, another method', async () => {
    const { server, address } = await start('google');
    expect((await fetch(`${address}/else`, { method: 'POST' })).status).toBe(404);
    expect((await fetch(address)).status).toBe(405);
    expect(server.violations).toHaveLength(2);
  });

  test('GitHub, Bitbucket and Reddit answer in their own way', async () => {
    const github = await start('github');
    const ours = { client_id: client.id, client_secret: client.secret };
    const body = (token: string) => form({ ...ours, grant_type: 'refresh_token', refresh_token: token });
    const unasked = await post(github.address, body(github.server.mint('ada')));
    expect(unasked).toEqual({ status: 200, body: 'error=bad_refresh_token' });

    const bitbucket = await start('bitbucket');
    const json = await post(bitbucket.address, '{}', {
      'content-type': 'application/json',
      authorization: basic,
    });
    expect(json.body).toContain('Unsupported grant type: None');

    const reddit = await start('reddit');
    const nobody = await post(reddit.address, '', { 'user-agent': 'node', authorization: basic });
    expect(nobody).toMatchObject({ status: 429, body: expect.stringContaining('<html>') });
    for (const { server } of [github, bitbucket, reddit]) expect(server.violations).toHaveLength(1);
  });
});

test('thousands of grants are minted and refreshed in seconds', async () => {
  const { server, address } = await start('oidc');
  const tokens = Array.from({ length: 5_000 }, (_, number) => server.mint(`account-${number}`));
  const queue = tokens.values();
  const refreshAll = async () => {
    for (const token of queue) expect((await refresh(address, token)).status).toBe(200);
  };
  await Promise.all(Array.from({ length: 50 }, refreshAll));
  expect(server.calls).toHaveLength(5_000);
  expect(server.requests).toHaveLength(5);
  expect(server.calls.filter(({ reuse, overlapped }) => reuse || overlapped)).toEqual([]);
});
