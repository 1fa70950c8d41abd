import {
  airtable,
  asana,
  calCom,
  calendly,
  discord,
  docusign,
  miro,
  monday,
  notion,
  ringcentral,
  slack,
  typeform,
  zoom,
} from './catalogue/collaboration.ts';
import { clover, paypal, quickbooks, shopify, square, stripeApp, wise, xero } from './catalogue/commerce.ts';
import { hubspot, kit, salesforce, salesforceSandbox, zendesk, zoho } from './catalogue/customers.ts';
import { atlassian, bitbucket, figma, github, gitlab, linear } from './catalogue/developer-tools.ts';
import type { CatalogueEntry } from './catalogue/entry.ts';
import { box, dropbox } from './catalogue/files.ts';
import { google } from './catalogue/google.ts';
import { auth0, keycloak, oidc, okta } from './catalogue/identity.ts';
import { facebook, instagram, threads } from './catalogue/meta.ts';
import { microsoft } from './catalogue/microsoft.ts';
import {
  linkedin,
  pinterest,
  reddit,
  spotify,
  tiktok,
  tiktokBusiness,
  twitch,
  twitter,
} from './catalogue/social.ts';
import {
  clickup,
  gumroad,
  intercom,
  mailchimp,
  manychat,
  stripe,
  trello,
} from './catalogue/without-renewal.ts';
import type { ProviderDescription } from './definition.ts';

/** The providers that need no definition in their secret, by the name that stands in `integrations.provider`. */
export const catalogue: Readonly<Record<string, CatalogueEntry>> = {
  airtable,
  asana,
  atlassian,
  auth0,
  bitbucket,
  box,
  'cal-com': calCom,
  calendly,
  clickup,
  clover,
  discord,
  docusign,
  dropbox,
  facebook,
  figma,
  github,
  gitlab,
  google,
  gumroad,
  hubspot,
  instagram,
  intercom,
  keycloak,
  kit,
  linear,
  linkedin,
  mailchimp,
  manychat,
  microsoft,
  miro,
  monday,
  notion,
  oidc,
  okta,
  paypal,
  pinterest,
  quickbooks,
  reddit,
  ringcentral,
  salesforce,
  'salesforce-sandbox': salesforceSandbox,
  shopify,
  slack,
  spotify,
  square,
  stripe,
  'stripe-app': stripeApp,
  threads,
  tiktok,
  'tiktok-business': tiktokBusiness,
  trello,
  twitch,
  twitter,
  typeform,
  wise,
  xero,
  zendesk,
  zoho,
  zoom,
};

/** The entry of a provider's name or alias with its own name; `null`: the catalogue does not know it. */
export function findInCatalogue(
  name: string,
): { readonly name: string; readonly description: ProviderDescription } | null {
  const own = Object.hasOwn(catalogue, name)
    ? name
    : Object.keys(catalogue).find((each) => catalogue[each]?.aliases?.includes(name));
  if (own === undefined) return null;
  const { aliases: _, notes: __, ...description } = catalogue[own] as CatalogueEntry;
  return { name: own, description };
}
