/**
 * The stored token that an integration is renewed with: its refresh token, or, where it has none, the access token,
 * which some providers exchange for another before it expires. The columns may be those of an alias.
 */
export function grantToken(alias = ''): string {
  const prefix = alias === '' ? '' : `${alias}.`;
  return `coalesce(nullif(${prefix}refresh_token, ''), ${prefix}access_token)`;
}
