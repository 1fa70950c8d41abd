/** What is known of an integration whose turn has come, before anybody is called. */
export interface GrantAtHand {
  /** Where the stored token stands that would renew the integration; a row without a refresh token has its access token. */
  readonly tokenColumn: 'refresh_token' | 'access_token';
  /** What its provider renews; `null`: nobody knows the provider. */
  readonly renewal: 'refresh_token' | 'access_token' | 'none' | null;
  /** Whether the provider's access tokens end at all where they cannot be renewed. */
  readonly accessTokensEnd: boolean;
  /** Until the access token expires; negative: it has; `null`: it has no end that is known. */
  readonly expiresInSeconds: number | null;
}

/**
 * What an attempt is for. `renew`: the token endpoint is called. `warn`: only the user can renew the access token,
 * which has not ended yet. `end`: it has. `keep`: there is nothing to renew and nothing that ends.
 */
export type AttemptPurpose = 'renew' | 'warn' | 'end' | 'keep';

/**
 * Decides what an attempt is for. A refresh token at a provider that renews nothing is something that a product
 * stored by mistake: it proves nothing about the connection, so that stays. Of a provider that nobody knows an
 * access token is taken for one that ends when the row says so.
 */
export function decidePurpose(grant: GrantAtHand): AttemptPurpose {
  const { tokenColumn, renewal, accessTokensEnd, expiresInSeconds } = grant;
  if (tokenColumn === 'refresh_token') return renewal === 'none' ? 'keep' : 'renew';
  if (renewal === 'access_token') return 'renew';
  if (renewal === 'none' && !accessTokensEnd) return 'keep';
  if (expiresInSeconds === null) return 'keep';
  return expiresInSeconds > 0 ? 'warn' : 'end';
}
