import { describe, expect, test } from 'vitest';
import { checkAccessToken } from '../../../local/provider/connect.ts';
import { client, connect, refresh, rotate, start } from './harness.ts';

const ACCOUNT = 'ada@example.com';

describe('a fault', () => {
  test('with times: 2 applies exactly twice', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.add({ times: 2, answer: { status: 503, headers: { 'retry-after': '7' } } });
    for (const applied of [1, 2]) {
      const answer = await refresh(provider, refreshToken);
      expect(answer).toMatchObject({ status: 503, text: '' });
      expect(answer.headers.get('retry-after')).toBe('7');
      expect(provider.faults.list()).toMatchObject(applied === 1 ? [{ id: 'fault-1', applied: 1 }] : []);
    }
    await rotate(provider, refreshToken);
    expect(provider.faults.calls().calls.map(({ status, faulted }) => [status, faulted])).toEqual([
      [503, 'fault-1'],
      [503, 'fault-1'],
      [200, null],
    ]);
  });

  test('of one account leaves the others alone, also with tokens that are dead', async () => {
    const provider = await start();
    const ada = await connect(provider, ACCOUNT);
    const grace = await connect(provider, 'grace@example.com');
    provider.faults.add({ account: ACCOUNT, answer: { status: 400, body: { error: 'invalid_grant' } } });
    expect(await refresh(provider, ada.refreshToken)).toMatchObject({ body: { error: 'invalid_grant' } });
    await rotate(provider, grace.refreshToken);
    expect((await refresh(provider, 'never-issued')).status).toBe(400);
    provider.faults.revokeAccount(ACCOUNT);
    await refresh(provider, ada.refreshToken);
    expect(provider.faults.calls().calls.map(({ faulted, error }) => [faulted, error])).toEqual([
      ['fault-1', 'invalid_grant'],
      [null, null],
      [null, 'invalid_grant'],
      ['fault-1', 'invalid_grant'],
    ]);
  });

  test('is matched in order, and only the first match applies', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.replace([
      { id: 'once', times: 1, answer: { status: 500, body: '<html>oops</html>' } },
      { id: 'always', answer: { status: 429 } },
    ]);
    const first = await refresh(provider, refreshToken);
    expect(first).toMatchObject({ status: 500, text: '<html>oops</html>' });
    expect(first.headers.get('content-type')).toMatch(/^text\/html/);
    expect((await refresh(provider, refreshToken)).status).toBe(429);
    expect(provider.faults.remove('always')).toBe(true);
    expect(provider.faults.remove('always')).toBe(false);
    await rotate(provider, refreshToken);
  });

  test('with afterProcessing rotates the token and loses the answer', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.add({ times: 1, afterProcessing: true, answer: { status: 502, body: 'Bad Gateway' } });
    const lost = await refresh(provider, refreshToken);
    expect(lost).toMatchObject({ status: 502, text: 'Bad Gateway' });
    expect(lost.headers.get('content-type')).toMatch(/^text\/plain/);
    expect((await refresh(provider, refreshToken)).body.error).toBe('invalid_grant');
    expect(provider.faults.calls().calls).toMatchObject([
      { status: 502, error: null, rotatedTo: expect.stringMatching(/^[0-9a-f]{12}$/), reuse: false },
      { status: 400, error: 'invalid_grant', rotatedTo: null, reuse: true },
    ]);
  });

  test.each([false, true])('resets the connection (afterProcessing: %s)', async (afterProcessing) => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.add({ times: 1, reset: true, afterProcessing });
    const failure = await refresh(provider, refreshToken).catch((error: Error) => error.cause);
    expect(failure).toMatchObject({ code: 'ECONNRESET' });
    expect((await refresh(provider, refreshToken)).status).toBe(afterProcessing ? 400 : 200);
    expect(provider.faults.calls().calls).toMatchObject([
      { status: null, error: null, rotatedTo: afterProcessing ? expect.any(String) : null },
      { reuse: afterProcessing },
    ]);
  });

  test('hangs until the client leaves', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.add({ times: 1, hang: true });
    await expect(refresh(provider, refreshToken, { timeoutMs: 150 })).rejects.toThrow(/timeout/);
    await rotate(provider, refreshToken);
    const [hung, next] = provider.faults.calls().calls;
    expect(hung).toMatchObject({ status: null, rotatedTo: null, overlapped: false });
    expect(hung?.durationMs).toBeGreaterThan(50);
    expect(next?.overlapped).toBe(false);
  });

  test('delays, and a client that does not wait loses a rotated token', async () => {
    const provider = await start();
    const { refreshToken } = await connect(provider, ACCOUNT);
    provider.faults.add({ delayMs: 250 });
    const startedAtMs = performance.now();
    const next = await rotate(provider, refreshToken);
    expect(performance.now() - startedAtMs).toBeGreaterThan(240);
    await expect(refresh(provider, next, { timeoutMs: 120 })).rejects.toThrow(/timeout/);
    await expect.poll(() => provider.faults.totals().calls).toBe(2);
    const [, left] = provider.faults.calls().calls;
    expect(left).toMatchObject({ status: null, rotatedTo: expect.any(String) });
    expect(left?.durationMs).toBeLessThan(200);
  });

  test('touches refresh calls only', async () => {
    const provider = await start();
    provider.faults.add({ answer: { status: 503 } });
    const { accessToken } = await connect(provider, ACCOUNT);
    expect((await checkAccessToken(provider.userinfoEndpoint, accessToken)).works).toBe(true);
    expect(provider.faults.totals().calls).toBe(0);
  });
});

test("a changed client secret turns the old one into the server's own invalid_client", async () => {
  const provider = await start();
  const { refreshToken } = await connect(provider, ACCOUNT);
  provider.faults.setClientSecret('n3w secret');
  expect(await refresh(provider, refreshToken)).toMatchObject({
    status: 401,
    body: { error: 'invalid_client' },
  });
  expect((await refresh(provider, refreshToken, { clientSecret: 'n3w secret' })).status).toBe(200);
  provider.faults.setClientSecret(client.clientSecret);
  expect((await refresh(provider, refreshToken, { clientSecret: 'n3w secret' })).status).toBe(401);
});

test('a changed access token lifetime holds for tokens issued from then on', async () => {
  const provider = await start();
  const { refreshToken, accessToken } = await connect(provider, ACCOUNT);
  provider.faults.setAccessTokenLifetimeSeconds(1);
  const { body } = await refresh(provider, refreshToken);
  expect(body.expires_in).toBe(1);
  await expect
    .poll(async () => (await checkAccessToken(provider.userinfoEndpoint, body.access_token ?? '')).status, {
      timeout: 2500,
    })
    .toBe(401);
  expect((await checkAccessToken(provider.userinfoEndpoint, accessToken)).works).toBe(true);
});

test('revoking an account ends all of its grants and no other', async () => {
  const provider = await start();
  const ada = [await connect(provider, ACCOUNT), await connect(provider, ACCOUNT)];
  const grace = await connect(provider, 'grace@example.com');
  expect(provider.faults.grantCount()).toBe(3);
  expect(provider.faults.revokeAccount(ACCOUNT)).toBe(2);
  expect(provider.faults.revokeAccount(ACCOUNT)).toBe(0);
  for (const { refreshToken, accessToken } of ada) {
    expect(await refresh(provider, refreshToken)).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    expect((await checkAccessToken(provider.userinfoEndpoint, accessToken)).status).toBe(401);
  }
  await rotate(provider, grace.refreshToken);
  expect(provider.faults.calls({ account: ACCOUNT }).totals).toEqual({ calls: 2, reuse: 0, overlapped: 0 });
  const reconnected = await connect(provider, ACCOUNT);
  await rotate(provider, reconnected.refreshToken);
});
