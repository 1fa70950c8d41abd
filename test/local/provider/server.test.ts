import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import * as oauth from 'oauth4webapi';
import { describe, expect, test } from 'vitest';
import { fingerprint } from '../../../local/provider/call-log.ts';
import { checkAccessToken, connectAccount } from '../../../local/provider/connect.ts';
import { startProvider } from '../../../local/provider/server.ts';
import { client, connect, refresh, rotate, start } from './harness.ts';

const ACCOUNT = 'ada@example.com';

describe('connecting', () => {
  test('gives tokens that work, for the account that signed in', async () => {
    const provider = await start();
    const connection = await connect(provider, ACCOUNT);
    expect(connection.expiresInSeconds).toBe(3600);
    expect(connection.scopes).toEqual(['openid', 'offline_access']);
    expect(await checkAccessToken(provider.userinfoEndpoint, connection.accessToken)).toEqual({
      works: true,
      account: ACCOUNT,
      status: 200,
    });
    expect(await checkAccessToken(provider.userinfoEndpoint, 'nonsense')).toEqual({
      works: false,
      account: null,
      status: 401,
    });
  });

  test('asks for more scopes', async () => {
    const provider = await start();
    const { scopes } = await connectAccount(provider, { account: ACCOUNT, client, scopes: ['email'] });
    expect(scopes).toEqual(['openid', 'offline_access', 'email']);
  });

  test('works for a client that posts its secret', async () => {
    const posting = { ...client, clientAuth: 'client_secret_post' } as const;
    const provider = await start({ client: posting });
    const { accessToken } = await connectAccount(provider, { account: ACCOUNT, client: posting });
    expect((await checkAccessToken(provider.userinfoEndpoint, accessToken)).works).toBe(true);
  });

  test('escapes what the pages show', async () => {
    const provider = await start({ displayName: '<script>Acme</script>' });
    const account = '"><script>alert(1)</script>';
    expect((await connect(provider, account)).refreshToken).toEqual(expect.any(String));
  });

  test('sends a command line back to whatever port it listens on, and nobody else anywhere new', async () => {
    const redirectTo = async (redirectUri: string, own: object = {}) => {
      const provider = await start({ client: { ...client, ...own } });
      const query = new URLSearchParams({
        client_id: client.clientId,
        redirect_uri: redirectUri,
        response_type: 'code',
        scope: 'openid',
        code_challenge: 'a'.repeat(43),
        code_challenge_method: 'S256',
        state: 's',
      });
      return (await fetch(`${provider.origin}/auth?${query}`, { redirect: 'manual' })).status;
    };
    const commandLine = { commandLineRedirectUri: 'http://127.0.0.1:8976/callback' };
    expect(await redirectTo('http://127.0.0.1:8976/callback', commandLine)).toBe(303);
    expect(await redirectTo('http://127.0.0.1:50123/callback', commandLine)).toBe(303);
    expect(await redirectTo(client.redirectUri, commandLine)).toBe(303);
    expect(await redirectTo('http://127.0.0.1:8976/elsewhere', commandLine)).toBe(400);
    expect(await redirectTo('http://127.0.0.1:8976/callback')).toBe(400);
  });

  test('is refused without PKCE', async () => {
    const provider = await start();
    const query = new URLSearchParams({
      client_id: client.clientId,
      redirect_uri: client.redirectUri,
      response_type: 'code',
      scope: 'openid',
    });
    const response = await fetch(`${provider.origin}/auth?${query}`, { redirect: 'manual' });
    expect(response.headers.get('location')).toContain('error=invalid_request');
  });

  test('says which options are wrong', async () => {
    const options = { name: 'acme', displayName: 'Acme', client };
    await expect(startProvider({ ...options, name: 'Acme Calendar' })).rejects.toThrow(
      /name must be lower case/,
    );
    await expect(startProvider({ ...options, accessTokenLifetimeSeconds: 0 })).rejects.toThrow(
      /accessTokenLifetimeSeconds/,
    );
    await expect(
      startProvider({ ...options, client: { ...client, redirectUri: 'nowhere' } }),
    ).rejects.toThrow();
    const { port } = new URL((await start()).origin);
    await expect(startProvider({ ...options, port: Number(port) })).rejects.toThrow(/EADDRINUSE/);
  });
});

describe('refreshing', () => {
  test('rotates the refresh token, and the new access token works', async () => {
    const provider = await start();
    const { refreshToken, accessToken } = await connect(provider, ACCOUNT);
    const { status, body } = await refresh(provider, refreshToken);
    expect(status).toBe(200);
    expect(body.expires_in).toBe(3600);
    expect(body.refresh_token).not.toBe(refreshToken);
    expect(body.access_token).not.toBe(accessToken);
    expect(await checkAccessToken(provider.userinfoEndpoint, body.access_token ?? '')).toMatchObject({
      works: true,
      account: ACCOUNT,
    });
    const { calls, totals } = provider.faults.calls();
    expect(totals).toEqual({ calls: 1, reuse: 0, overlapped: 0 });
    expect(calls).toEqual([
      {
        sequence: 1,
        account: ACCOUNT,
        receivedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        durationMs: expect.any(Number),
        status: 200,
        error: null,
        overlapped: false,
        reuse: false,
        refreshTokenFingerprint: fingerprint(refreshToken),
        rotatedTo: fingerprint(body.refresh_token ?? ''),
        faulted: null,
        clientId: client.clientId,
      },
    ]);
  });

  test('passes the validation of oauth4webapi, id token included', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    const server = { issuer: provider.issuer, token_endpoint: provider.tokenEndpoint };
    const response = await oauth.refreshTokenGrantRequest(
      server,
      { client_id: client.clientId },
      oauth.ClientSecretBasic(client.clientSecret),
      refreshToken,
      { [oauth.allowInsecureRequests]: true },
    );
    const tokens = await oauth.processRefreshTokenResponse(server, { client_id: client.clientId }, response);
    expect(tokens.refresh_token).toEqual(expect.any(String));
    expect(oauth.getValidatedIdTokenClaims(tokens)?.sub).toBe(ACCOUNT);
  });

  test('with a used token is refused, reported as reuse, and revokes the whole family', async () => {
    const provider = await start();
    const first = await connect(provider, ACCOUNT);
    const second = await rotate(provider, first.refreshToken);
    const latest = await refresh(provider, second);

    const reused = await refresh(provider, first.refreshToken);
    expect(reused).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await refresh(provider, latest.body.refresh_token ?? '')).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    for (const accessToken of [first.accessToken, latest.body.access_token ?? '']) {
      expect(await checkAccessToken(provider.userinfoEndpoint, accessToken)).toMatchObject({
        works: false,
        status: 401,
      });
    }
    await refresh(provider, first.refreshToken);

    const { calls, totals } = provider.faults.calls({ account: ACCOUNT });
    expect(calls.map(({ status, reuse }) => [status, reuse])).toEqual([
      [200, false],
      [200, false],
      [400, true],
      [400, false],
      [400, true],
    ]);
    expect(totals).toEqual({ calls: 5, reuse: 2, overlapped: 0 });
    expect(provider.faults.grantCount()).toBe(0);
  });

  test('twice at once is flagged as overlapped and is reuse, so that no token of the family is left', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    const bystander = await connect(provider, 'grace@example.com');
    provider.faults.add({ delayMs: 30 });
    const [answers] = await Promise.all([
      Promise.all([1, 2, 3].map(() => refresh(provider, refreshToken))),
      refresh(provider, bystander.refreshToken),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
    const { calls, totals } = provider.faults.calls({ account: ACCOUNT });
    expect(calls.every(({ overlapped }) => overlapped)).toBe(true);
    expect(totals).toEqual({ calls: 3, reuse: 2, overlapped: 3 });
    expect(provider.faults.calls({ account: 'grace@example.com' }).totals.overlapped).toBe(0);
    const winner = answers.find(({ status }) => status === 200)?.body;
    expect((await refresh(provider, winner?.refresh_token ?? '')).status).toBe(400);
  });

  test('one after the other is never flagged as overlapped', async () => {
    const provider = await start();
    let { refreshToken } = await connect(provider, ACCOUNT);
    for (let count = 0; count < 30; count += 1) refreshToken = await rotate(provider, refreshToken);
    expect(provider.faults.totals()).toEqual({ calls: 30, reuse: 0, overlapped: 0 });
  });

  test('with an unknown token is refused and belongs to no account', async () => {
    const provider = await start();
    expect(await refresh(provider, 'never-issued')).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    expect(provider.faults.calls().calls).toMatchObject([{ account: null, reuse: false, rotatedTo: null }]);
  });

  test("with a wrong secret gets the server's own invalid_client and costs the grant nothing", async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    const answer = await refresh(provider, refreshToken, { clientSecret: 'wrong' });
    expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /);
    expect(provider.faults.calls().calls).toMatchObject([
      { account: ACCOUNT, status: 401, error: 'invalid_client', rotatedTo: null, clientId: client.clientId },
    ]);
    await rotate(provider, refreshToken);
  });

  test('after its lifetime is refused', async () => {
    const provider = await start({ refreshTokenLifetimeSeconds: 1 });
    const { refreshToken } = await connect(provider, ACCOUNT);
    await new Promise((done) => setTimeout(done, 1050));
    expect(await refresh(provider, refreshToken)).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    expect(provider.faults.calls().calls).toMatchObject([{ account: ACCOUNT, reuse: false }]);
  });

  test('thousands of times evicts no other grant', async () => {
    const provider = await start();
    const untouched = await connect(provider, ACCOUNT);
    const others = await Promise.all(
      Array.from({ length: 20 }, (_, index) => connect(provider, `user-${index}@example.com`)),
    );
    await Promise.all(
      others.map(async (other) => {
        let { refreshToken } = other;
        for (let count = 0; count < 60; count += 1) refreshToken = await rotate(provider, refreshToken);
      }),
    );
    await rotate(provider, untouched.refreshToken);
    expect(provider.faults.totals()).toEqual({ calls: 1201, reuse: 0, overlapped: 0 });
  }, 20_000);
});

test('two providers in one process share no state', async () => {
  const [first, second] = await Promise.all([
    start(),
    start({ name: 'other-crm', displayName: 'Other CRM' }),
  ]);
  const { refreshToken, accessToken } = await connect(first, ACCOUNT);
  expect((await refresh(second, refreshToken)).body.error).toBe('invalid_grant');
  expect((await checkAccessToken(second.userinfoEndpoint, accessToken)).works).toBe(false);
  second.faults.add({ answer: { status: 503 } });
  second.faults.setClientSecret('rotated');
  expect(second.faults.revokeAccount(ACCOUNT)).toBe(0);
  await rotate(first, refreshToken);
  expect(first.faults.totals().calls).toBe(1);
});

describe('stopping', () => {
  test('ends calls that hang or wait, frees the port, and can be asked twice', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.replace([{ hang: true, times: 1 }, { delayMs: 60_000 }]);
    const pending = [refresh(provider, refreshToken), refresh(provider, refreshToken)].map((call) =>
      call.then(
        () => 'answered',
        () => 'lost',
      ),
    );
    await new Promise((done) => setTimeout(done, 50));
    await Promise.all([provider.stop(), provider.stop()]);
    expect(await Promise.all(pending)).toEqual(['lost', 'lost']);
    const again = await start({ port: Number(new URL(provider.origin).port) });
    expect(again.origin).toBe(provider.origin);
  });

  test('leaves nothing that keeps a process alive, and nothing was printed', async () => {
    const folder = resolve(import.meta.dirname, '../../../local/provider');
    const script = `
      import { startProvider } from ${JSON.stringify(`${folder}/server.ts`)};
      import { connectAccount } from ${JSON.stringify(`${folder}/connect.ts`)};
      const client = ${JSON.stringify(client)};
      const provider = await startProvider({ name: 'acme', displayName: 'Acme', client });
      await connectAccount(provider, { account: 'ada@example.com', client });
      await fetch(provider.origin + '/auth', { headers: { accept: 'text/html' } });
      provider.faults.add({ delayMs: 60000 });
      const form = { grant_type: 'refresh_token', refresh_token: 'x' };
      fetch(provider.tokenEndpoint, { method: 'POST', body: new URLSearchParams(form) }).catch(() => {});
      await new Promise((done) => setTimeout(done, 50));
      await provider.stop();
    `;
    const options = { timeout: 5000, env: { ...process.env, NODE_OPTIONS: '' } };
    const child = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], options);
    expect(child).toEqual({ stdout: '', stderr: '' });
  }, 10_000);
});
