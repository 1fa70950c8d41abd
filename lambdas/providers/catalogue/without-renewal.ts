import { type CatalogueEntry, days } from './entry.ts';

/** Providers whose access tokens nothing renews: most never expire; of those with a lifetime the user is told in time. */

export const trello = {
  displayName: 'Trello',
  documentation: 'https://developer.atlassian.com/cloud/trello/guides/rest-api/authorization/',
  renewal: 'none',
  // Unless the authorization says otherwise.
  accessTokenLifetimeSeconds: 30 * days,
  notes: [
    'How long a token lives is chosen at the authorization (`1hour`, `1day`, `30days`, `never`): set `expires_at` unless it is `never`.',
  ],
} as const satisfies CatalogueEntry;

export const clickup = {
  displayName: 'ClickUp',
  documentation: 'https://developer.clickup.com/docs/authentication',
  renewal: 'none',
} as const satisfies CatalogueEntry;

export const mailchimp = {
  displayName: 'Mailchimp',
  documentation: 'https://mailchimp.com/developer/marketing/guides/access-user-data-oauth-2/',
  renewal: 'none',
  notes: ['`expires_in` is 0, which means never: leave `expires_at` null.'],
} as const satisfies CatalogueEntry;

export const intercom = {
  displayName: 'Intercom',
  documentation:
    'https://developers.intercom.com/docs/build-an-integration/learn-more/authentication/setting-up-oauth',
  renewal: 'none',
} as const satisfies CatalogueEntry;

export const gumroad = {
  displayName: 'Gumroad',
  documentation: 'https://gumroad.com/api',
  renewal: 'none',
  notes: ['Whether its tokens expire is not documented.'],
} as const satisfies CatalogueEntry;

export const manychat = {
  displayName: 'Manychat',
  documentation: 'https://api.manychat.com/swagger',
  renewal: 'none',
  notes: ['API keys only.'],
} as const satisfies CatalogueEntry;

export const stripe = {
  displayName: 'Stripe',
  aliases: ['stripe-connect'],
  documentation: 'https://docs.stripe.com/connect/oauth-reference',
  renewal: 'none',
  notes: [
    'Access tokens of Connect do not expire; their refresh token only gives tokens of another mode or scope, so nothing is done with it. Apps of the marketplace are `stripe-app`.',
  ],
} as const satisfies CatalogueEntry;
