import { type AttemptPurpose, decidePurpose } from '../domain/lapse.ts';
import type { StartedAttempt } from '../postgres/start-attempts.ts';
import { findInCatalogue } from '../providers/catalogue.ts';
import { type ProviderDefinition, parseDefinition } from '../providers/definition.ts';
import type { ProviderClientLookup } from '../secrets/provider-clients.ts';

/**
 * What an attempt is for, by what is known of its provider. Where our client is not configured, the catalogue knows
 * whether there would be anything to renew, and what it does not know cannot be renewed. Where the secret cannot be
 * read or is malformed, a renewal is assumed, which then fails by our own fault: nobody is disconnected for that.
 */
export function purposeOf(
  attempt: Pick<StartedAttempt, 'provider' | 'token_column' | 'expires_in_seconds'>,
  found: ProviderClientLookup,
): {
  readonly purpose: AttemptPurpose;
  /** `null`: nobody knows the provider. */
  readonly definition: ProviderDefinition | null;
} {
  if (!found.ok && !saysThatThereIsNone(found.code)) return { purpose: 'renew', definition: null };
  const definition = found.ok ? found.client.provider : fromCatalogue(attempt.provider);
  const purpose = decidePurpose({
    tokenColumn: attempt.token_column,
    renewal: definition?.renewal ?? null,
    accessTokensEnd: definition === null || definition.accessTokenLifetimeSeconds !== undefined,
    expiresInSeconds: attempt.expires_in_seconds,
  });
  return { purpose, definition };
}

function saysThatThereIsNone(code: string): boolean {
  return code === 'provider_not_configured' || code === 'provider_name_invalid';
}

function fromCatalogue(name: string): ProviderDefinition | null {
  const known = findInCatalogue(name);
  if (known === null) return null;
  const parsed = parseDefinition(known.description);
  return parsed.ok ? parsed.value : null;
}
