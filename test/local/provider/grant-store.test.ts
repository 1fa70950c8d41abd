import { afterEach, expect, test, vi } from 'vitest';
import { GrantStore } from '../../../local/provider/grant-store.ts';

afterEach(() => {
  vi.useRealTimers();
});

async function grant(store: GrantStore, number: number, lifetimeSeconds = 3600): Promise<void> {
  const grantId = `grant-${number}`;
  const accountId = `user-${number}@example.com`;
  await store.adapter('Grant').upsert(grantId, { accountId }, lifetimeSeconds);
  for (const model of ['AccessToken', 'RefreshToken']) {
    await store.adapter(model).upsert(`${model}-${number}`, { grantId, accountId }, lifetimeSeconds);
  }
  await store
    .adapter('Session')
    .upsert(`session-${number}`, { uid: `uid-${number}`, accountId }, lifetimeSeconds);
}

test('2,000 grants are all kept', async () => {
  const store = new GrantStore();
  for (let number = 0; number < 2000; number += 1) await grant(store, number);
  expect(store.grantCount()).toBe(2000);
  for (let number = 0; number < 2000; number += 1) {
    expect(await store.adapter('Grant').find(`grant-${number}`)).toBeDefined();
    expect(await store.adapter('RefreshToken').find(`RefreshToken-${number}`)).toBeDefined();
    expect(await store.adapter('Session').findByUid(`uid-${number}`)).toBeDefined();
    expect(store.refreshToken(`RefreshToken-${number}`)?.account).toBe(`user-${number}@example.com`);
  }
});

test('a consumed or revoked refresh token stays known', async () => {
  const store = new GrantStore();
  await grant(store, 1);
  const known = { account: 'user-1@example.com', grantId: 'grant-1', consumed: false };
  expect(store.refreshToken('RefreshToken-1')).toEqual(known);
  await store.adapter('RefreshToken').consume('RefreshToken-1');
  expect(store.refreshToken('RefreshToken-1')).toEqual({ ...known, consumed: true });
  expect(store.revokeAccount('user-1@example.com')).toBe(1);
  expect(await store.adapter('RefreshToken').find('RefreshToken-1')).toBeUndefined();
  expect(await store.adapter('AccessToken').find('AccessToken-1')).toBeUndefined();
  expect(await store.adapter('Grant').find('grant-1')).toBeUndefined();
  expect(store.refreshToken('RefreshToken-1')).toEqual({ ...known, consumed: true });
});

test('expired entries are gone at once and swept later', async () => {
  vi.useFakeTimers();
  const store = new GrantStore();
  await grant(store, 1, 10);
  vi.advanceTimersByTime(10_000);
  expect(await store.adapter('AccessToken').find('AccessToken-1')).toBeUndefined();
  expect(await store.adapter('Session').findByUid('uid-1')).toBeUndefined();
  expect(store.refreshToken('RefreshToken-1')).toBeDefined();

  vi.advanceTimersByTime(2 * 60 * 60 * 1000);
  await grant(store, 2);
  expect(store.grantCount()).toBe(1);
  expect(store.refreshToken('RefreshToken-1')).toBeUndefined();
});
