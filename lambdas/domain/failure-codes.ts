import type { FailureClass } from './outcome.ts';

/** What one failure is in words. */
export interface Sentences {
  /** For the user whose integration it is, in the app and in emails; `{provider}` stands for the provider's name. */
  readonly user: string;
  /** For the operator: what it means, and what to do. */
  readonly operator: string;
}

const signInAgain = 'Please connect your {provider} account again.';
const nothingToDo = 'We keep trying; there is nothing for you to do.';
const ourFault = `Something on our side keeps us from reaching your {provider} account. ${nothingToDo}`;
const unavailable = `{provider} cannot be reached at the moment. ${nothingToDo}`;
const wait = 'A passing fault: the next attempts follow by themselves.';
const onlyTheUser = 'Nothing to do here: only the user can help, and is told so.';

/** Every code of a failure that this system gives, with its sentences. What is not here has those of its class. */
export const failureCodes = {
  // What the provider says of the grant.
  invalid_grant: {
    user: `{provider} no longer accepts this connection. ${signInAgain}`,
    operator: `The provider calls the grant invalid, expired or revoked. ${onlyTheUser}`,
  },
  refresh_token_expired: {
    user: `Your connection to {provider} has run out. ${signInAgain}`,
    operator: `The refresh token has reached the end of its life. ${onlyTheUser}`,
  },
  refresh_token_inactive: {
    user: `Your connection to {provider} was not used for too long. ${signInAgain}`,
    operator:
      'The refresh token lapsed from disuse. Look why it was not refreshed for so long: a connection that is kept alive does not get there.',
  },
  refresh_token_reused: {
    user: `{provider} ended this connection for security reasons. ${signInAgain}`,
    operator:
      'The provider saw a refresh token for the second time and revoked the grant. Look whether anything else refreshes the same integrations.',
  },
  refresh_token_malformed: {
    user: `{provider} no longer accepts this connection. ${signInAgain}`,
    operator:
      'The provider cannot read the refresh token. If many integrations say so, look at what writes the column refresh_token: it may cut off or change tokens.',
  },
  refresh_token_damaged: {
    user: `Your connection to {provider} has to be set up anew. ${signInAgain}`,
    operator:
      'The stored token cannot be opened: it is not what was sealed for this row. Look at what else writes the token columns.',
  },
  access_revoked: {
    user: `Access to your {provider} account was withdrawn. ${signInAgain}`,
    operator: `The user or an admin withdrew the access at the provider. ${onlyTheUser}`,
  },
  session_revoked: {
    user: `{provider} has ended your session and asks you to sign in again. ${signInAgain}`,
    operator: `The provider revoked the sessions of this account. ${onlyTheUser}`,
  },
  password_changed: {
    user: `Your {provider} password changed, so {provider} asks you to sign in again. ${signInAgain}`,
    operator: `The password of the account changed, which ends its grants. ${onlyTheUser}`,
  },
  sign_in_required: {
    user: `{provider} asks you to sign in again. ${signInAgain}`,
    operator: `A policy of the account or its organization asks for a new sign-in from time to time. ${onlyTheUser}`,
  },
  mfa_required: {
    user: `{provider} asks you to confirm your sign-in with a second step. ${signInAgain}`,
    operator: `The provider asks for multi-factor authentication. ${onlyTheUser}`,
  },
  conditional_access: {
    user: `A rule of your organization keeps us from your {provider} account. Please connect it again, or ask your administrator.`,
    operator:
      'A conditional access policy of the organization refused the refresh. If many users of one organization say so, its admin has to admit this application or its addresses.',
  },
  admin_policy: {
    user: `An administrator of your organization does not allow this connection to {provider}. Please ask them to allow it, then connect again.`,
    operator:
      'A policy of the organization forbids this application or one of its scopes. Its admin has to allow it.',
  },
  app_blocked: {
    user: `An administrator of your organization has not approved this connection to {provider}. Please ask them to, then connect again.`,
    operator:
      'The organization blocked this application or has not approved it. Its admin has to approve it.',
  },
  app_not_installed: {
    user: `Our app was removed from your {provider} account. Please add it again to go on.`,
    operator: `The application was uninstalled from the account. ${onlyTheUser}`,
  },
  consent_required: {
    user: `{provider} asks for your permission again. ${signInAgain}`,
    operator: `The provider wants the consent of the user or of an admin again. ${onlyTheUser}`,
  },
  permission_missing: {
    user: `Your {provider} account no longer has the permissions that this connection needs. ${signInAgain}`,
    operator: `The account lost a permission that the grant rests on. ${onlyTheUser}`,
  },
  invalid_scope: {
    user: `{provider} no longer gives what this connection needs. ${signInAgain}`,
    operator:
      'The provider refuses the scopes that this grant has. If all users say so, a scope was withdrawn from the application; take a scope out of extraParameters, if one is there.',
  },
  interaction_required: {
    user: `{provider} asks you to sign in again. ${signInAgain}`,
    operator: `The provider wants the user to do something while signing in. ${onlyTheUser}`,
  },
  login_required: {
    user: `{provider} asks you to sign in again. ${signInAgain}`,
    operator: `The provider wants the user to sign in. ${onlyTheUser}`,
  },
  account_selection_required: {
    user: `{provider} asks you to choose an account. ${signInAgain}`,
    operator: `The provider wants the user to choose an account. ${onlyTheUser}`,
  },
  account_verification_required: {
    user: `{provider} wants you to confirm your account. Please sign in at {provider}, then connect it again.`,
    operator: `The provider holds the account until the user has confirmed it there. ${onlyTheUser}`,
  },
  email_unverified: {
    user: `Your email address at {provider} is not confirmed yet. Please confirm it there, then connect again.`,
    operator: `The provider wants the user to verify an email address. ${onlyTheUser}`,
  },
  account_disabled: {
    user: `Your {provider} account is disabled. Please ask {provider} or your administrator, then connect again.`,
    operator: `The account is disabled at the provider. ${onlyTheUser}`,
  },
  account_suspended: {
    user: `Your {provider} account is suspended. Please ask {provider} or your administrator, then connect again.`,
    operator: `The account or its organization is suspended, and may come back. ${onlyTheUser}`,
  },
  account_not_found: {
    user: `Your {provider} account could not be found. Please connect the account that you use now.`,
    operator: `The account does not exist at the provider any more. ${onlyTheUser}`,
  },
  not_assigned: {
    user: `Your {provider} account is not assigned to this app. Please ask your administrator, then connect again.`,
    operator: 'The admin of the organization has to assign the user to this application.',
  },
  access_denied: {
    user: `{provider} refuses access to your account. ${signInAgain}`,
    operator:
      'The provider, or a rule of the organization there, refused the access. If all users say so, look at the application at the provider.',
  },
  grant_of_another_client: {
    user: `Your connection to {provider} was made with an earlier version of our app. ${signInAgain}`,
    operator:
      'The refresh token was issued to another client id than the one in the secret. If the client id was changed, every grant has to be made anew.',
  },
  grant_refused: {
    user: `{provider} refuses this connection. ${signInAgain}`,
    operator: `The provider refused this grant. ${onlyTheUser}`,
  },
  unknown_error: {
    user: `{provider} refuses this connection. ${signInAgain}`,
    operator:
      "The provider's answer holds an error code that its definition does not know. If it comes often, look the answer up in the provider's documentation and add the code to errorMeanings in the secret.",
  },

  // What ends without anybody's refusal.
  access_token_ends: {
    user: `Your connection to {provider} ends soon, and only you can renew it. ${signInAgain}`,
    operator: `The access token ends soon, and nothing is there to renew it with. ${onlyTheUser}`,
  },
  access_token_ended: {
    user: `Your connection to {provider} has ended, and only you can renew it. ${signInAgain}`,
    operator: `The access token has ended, and nothing is there to renew it with. ${onlyTheUser}`,
  },
  refresh_token_ends: {
    user: `{provider} wants you to renew this connection from time to time, and it ends soon. ${signInAgain}`,
    operator: `The refresh token ends soon, and refreshing does not extend it. ${onlyTheUser}`,
  },

  // What passes.
  timeout: {
    user: unavailable,
    operator: `The token endpoint did not answer in time. ${wait} If it stays, look at the egress of the functions.`,
  },
  network_error: {
    user: unavailable,
    operator: `The token endpoint could not be reached, or the connection broke. ${wait} If it stays for all integrations, look at tokenEndpoint and at the egress of the functions.`,
  },
  rate_limited: {
    user: `{provider} limits how often we may ask at the moment. ${nothingToDo}`,
    operator: `The provider limits our calls. ${wait} If it stays, lower callsPerSecond in the provider's definition.`,
  },
  slow_down: {
    user: `{provider} limits how often we may ask at the moment. ${nothingToDo}`,
    operator: `The provider wants us to ask less often. ${wait} If it stays, lower callsPerSecond in the provider's definition.`,
  },
  quota_exhausted: {
    user: `{provider} does not take any more requests from us at the moment. ${nothingToDo}`,
    operator: 'The quota or the plan of our account at the provider is used up. Raise it there.',
  },
  server_error: { user: unavailable, operator: `The provider has a fault of its own. ${wait}` },
  internal_failure: { user: unavailable, operator: `The provider has a fault of its own. ${wait}` },
  temporarily_unavailable: {
    user: unavailable,
    operator: `The provider says that it cannot answer now. ${wait}`,
  },
  sign_in_unavailable: {
    user: `The sign-in of your organization at {provider} cannot be reached at the moment. ${nothingToDo}`,
    operator: `The organization's own sign-in (federated or on its premises) is away. ${wait}`,
  },
  account_moving: {
    user: `{provider} is moving your account at the moment. ${nothingToDo}`,
    operator: `The provider moves the account to another place. ${wait}`,
  },
  account_address_gone: {
    user: `Your {provider} account no longer answers at its address. If it was renamed, please connect it again.`,
    operator:
      'The account was suspended, renamed or closed, and its address answers for nobody. If all users say so, check tokenEndpoint.',
  },
  conflict: {
    user: `{provider} is busy with your account at the moment. ${nothingToDo}`,
    operator: `The provider handles another request for the same grant. ${wait} If it comes often, look whether anything else refreshes the same integrations.`,
  },
  malformed_response: {
    user: `{provider} gave an answer that we could not read. ${nothingToDo}`,
    operator: `The answer says success and holds no tokens that can be read. ${wait} If it stays, compare tokensAt and success in the provider's definition with its documentation.`,
  },
  unknown_answer: {
    user: `{provider} gave an answer that we could not read. ${nothingToDo}`,
    operator: `The answer came with HTTP success and is a refusal that the provider's definition does not know. ${wait} If it stays, look the answer up in the provider's documentation and add its code to errorMeanings in the secret.`,
  },
  http_4xx: {
    user: `{provider} gave an answer that we could not read. ${nothingToDo}`,
    operator:
      'The provider refused the request without a word on the grant, so nobody is to blame yet. If it stays, a firewall in front of the provider may block our address.',
  },
  http_5xx: {
    user: unavailable,
    operator: `The provider has a fault of its own. ${wait}`,
  },

  // What an operator has to mend.
  invalid_client: {
    user: ourFault,
    operator:
      "The provider does not accept our client. Check the client id and secret in the provider's secret, and whether the secret expired.",
  },
  client_secret_invalid: {
    user: ourFault,
    operator:
      "The provider calls our client secret wrong. Put the valid one into the provider's secret (clientSecret).",
  },
  client_secret_expired: {
    user: ourFault,
    operator:
      "Our client secret has expired. Make a new one in the provider's console and put it into the provider's secret (clientSecret).",
  },
  client_unknown: {
    user: ourFault,
    operator:
      "The provider does not know our client id. Check clientId in the provider's secret, and whether the application still exists.",
  },
  client_disabled: {
    user: ourFault,
    operator: 'Our application is disabled or deleted at the provider. Look at it there.',
  },
  unauthorized_client: {
    user: ourFault,
    operator:
      'Our client may not refresh tokens. Allow the refresh_token grant for this client at the provider.',
  },
  unsupported_grant_type: {
    user: ourFault,
    operator:
      "The address does not take this kind of request. Check tokenEndpoint and grantType in the provider's definition.",
  },
  invalid_request: {
    user: ourFault,
    operator:
      'The provider calls the request malformed. Check extraParameters, requestFormat and clientAuthentication in its definition.',
  },
  invalid_target: {
    user: ourFault,
    operator:
      'The provider does not know the resource that is asked for. Check resource or audience in extraParameters.',
  },
  invalid_dpop_proof: {
    user: ourFault,
    operator:
      'The provider wants tokens that are bound to a key (DPoP), which is not supported. Switch it off for this client at the provider.',
  },
  use_dpop_nonce: {
    user: ourFault,
    operator:
      'The provider wants tokens that are bound to a key (DPoP), which is not supported. Switch it off for this client at the provider.',
  },
  redirect_uri_mismatch: {
    user: ourFault,
    operator:
      'The provider compares redirect_uri with the one of the authorization. Put that one into extraParameters of the secret.',
  },
  tenant_unknown: {
    user: ourFault,
    operator:
      "The provider does not know the tenant in the address. Check variables in the provider's secret.",
  },
  tenant_mismatch: {
    user: ourFault,
    operator:
      "Our application is not made for the accounts that the address signs in. Put its own tenant into variables of the provider's secret, or open the application to more accounts.",
  },
  ip_not_allowed: {
    user: ourFault,
    operator:
      'The provider refuses the address that our requests come from. Have the egress addresses of the functions admitted there.',
  },
  mode_mismatch: {
    user: ourFault,
    operator:
      'The grant belongs to another environment of the provider (test or live, sandbox or production) than our client. Check tokenEndpoint and the credentials.',
  },
  request_refused: {
    user: ourFault,
    operator: "The provider refused our request. Compare the provider's definition with its documentation.",
  },
  redirected: {
    user: ourFault,
    operator:
      'The provider redirects to another address, which is not followed with credentials. Check tokenEndpoint and its variables.',
  },
  http_404: {
    user: ourFault,
    operator: 'Nothing at this address takes a token request. Check tokenEndpoint and its variables.',
  },
  http_405: {
    user: ourFault,
    operator: 'The address takes no request of this kind. Check tokenEndpoint and requestFormat.',
  },
  http_415: {
    user: ourFault,
    operator: 'The address takes no body of this kind. Check requestFormat and tokenEndpoint.',
  },
  token_key_unknown: {
    user: ourFault,
    operator:
      'The token is sealed with a key that is in the token key secret no longer. Put it back there, under "previous".',
  },
  token_unsendable: {
    user: ourFault,
    operator:
      'The stored token holds characters that cannot stand in a header. Look at what writes the token columns.',
  },
  provider_name_invalid: {
    user: ourFault,
    operator: 'Use letters, digits, ".", "_" and "-" in integrations.provider.',
  },
  provider_not_configured: {
    user: ourFault,
    operator:
      'There is no secret with our client at this provider. Create it (evergrant provider set <name>).',
  },
  provider_secret_malformed: {
    user: ourFault,
    operator:
      "The provider's secret cannot be used. Mend it; evergrant provider check <name> says where it is wrong.",
  },
  provider_secret_unavailable: {
    user: ourFault,
    operator:
      "Secrets Manager did not give the provider's secret. Look at the rights of the function and at the state of the service.",
  },
  provider_variable_missing: {
    user: ourFault,
    operator: "The provider's address needs a value. Put it into variables of the provider's secret.",
  },
  provider_variable_invalid: {
    user: ourFault,
    operator: "A value for the provider's address is not one. Mend it in variables of the provider's secret.",
  },
  integration_variable_missing: {
    user: ourFault,
    operator:
      "The provider's address needs a value of the integration. Write it into integrations.metadata when an account is connected.",
  },
  integration_variable_invalid: {
    user: ourFault,
    operator:
      "A value in integrations.metadata cannot stand in the provider's address. Look at what writes it: it may be an attempt to send our credentials elsewhere.",
  },
  provider_key_unusable: {
    user: ourFault,
    operator:
      "The key in the provider's secret cannot sign. Put an RSA (2048 bits or more), P-256 or Ed25519 key into privateKey, as PKCS #8 in PEM.",
  },
  provider_nothing_to_renew: {
    user: ourFault,
    operator:
      "The provider's definition says that there is nothing to renew, so no request can be made. Check renewal and tokenEndpoint.",
  },
} as const satisfies Readonly<Record<string, Sentences>>;

export type FailureCode = keyof typeof failureCodes;

const byClass: Readonly<Record<FailureClass, Sentences>> = {
  transient: failureCodes.temporarily_unavailable,
  permanent: failureCodes.grant_refused,
  operator: failureCodes.request_refused,
};

/** The sentences of any code, also of one that a provider's own rule has made up. */
export function sentencesOf(code: string, failureClass: FailureClass): Sentences {
  if (isFailureCode(code)) return failureCodes[code];
  if (failureClass === 'transient' && /^http_4\d\d$/.test(code)) return failureCodes.http_4xx;
  if (failureClass === 'transient' && /^http_\d{3}$/.test(code)) return failureCodes.http_5xx;
  return byClass[failureClass];
}

export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(failureCodes, code);
}
