import { describe, expect, it } from 'vitest';
import { parseProviderClient } from '../../../lambdas/providers/client.ts';
import { purposeOf } from '../../../lambdas/refresher/attempt-purpose.ts';
import type { ProviderClientLookup } from '../../../lambdas/secrets/provider-clients.ts';

const attempt = (provider: string, changes: object = {}) => ({
  provider,
  token_column: 'access_token' as const,
  expires_in_seconds: -60,
  ...changes,
});
const missing = (code: string): ProviderClientLookup => ({ ok: false, code, fix: 'x' });
const configured = (provider: object): ProviderClientLookup => {
  const parsed = parseProviderClient(
    'acme',
    JSON.stringify({ clientId: 'us', clientSecret: 's', provider: { displayName: 'Acme', ...provider } }),
  );
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return { ok: true, client: parsed.value, clientName: 'acme', secretId: null };
};
const purposeFor = (...given: Parameters<typeof purposeOf>) => purposeOf(...given).purpose;

describe('an access token that has ended', () => {
  it('ends at a provider that nobody knows', () => {
    for (const code of ['provider_not_configured', 'provider_name_invalid']) {
      expect(purposeOf(attempt('nobody knows it'), missing(code))).toEqual({
        purpose: 'end',
        definition: null,
      });
    }
  });

  it('is decided on by the catalogue where the secret is missing', () => {
    const unconfigured = missing('provider_not_configured');
    expect(purposeOf(attempt('linkedin'), unconfigured)).toMatchObject({
      purpose: 'end',
      definition: { displayName: 'LinkedIn' },
    });
    expect(purposeFor(attempt('instagram'), unconfigured)).toBe('renew');
    expect(purposeFor(attempt('stripe'), unconfigured)).toBe('keep');
    // Its tokens are never renewed, and end when their authorization said.
    expect(purposeFor(attempt('trello'), unconfigured)).toBe('end');
    expect(purposeFor(attempt('trello', { expires_in_seconds: null }), unconfigured)).toBe('keep');
  });

  it.each(['provider_secret_unavailable', 'provider_secret_malformed'])(
    'ends for nobody when it is our own fault: %s',
    (code) => {
      for (const provider of ['linkedin', 'instagram', 'nobody']) {
        expect(purposeFor(attempt(provider), missing(code))).toBe('renew');
      }
    },
  );

  it('is decided on by the definition in the secret', () => {
    const tokenEndpoint = 'https://acme.example/token';
    expect(purposeFor(attempt('acme'), configured({ tokenEndpoint }))).toBe('end');
    expect(purposeFor(attempt('acme'), configured({ tokenEndpoint, renewal: 'access_token' }))).toBe('renew');
    expect(purposeFor(attempt('acme'), configured({ renewal: 'none' }))).toBe('keep');
    expect(purposeFor(attempt('acme'), configured({ renewal: 'none', accessTokenLifetimeSeconds: 60 }))).toBe(
      'end',
    );
  });
});

it('a refresh token is refreshed wherever there may be somebody who does', () => {
  const row = { token_column: 'refresh_token' as const };
  expect(purposeFor(attempt('nobody', row), missing('provider_not_configured'))).toBe('renew');
  expect(purposeFor(attempt('linkedin', row), missing('provider_not_configured'))).toBe('renew');
  expect(purposeFor(attempt('stripe', row), missing('provider_not_configured'))).toBe('keep');
});
