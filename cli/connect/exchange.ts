import type { RefreshedTokens } from '../../lambdas/domain/outcome.ts';
import { sendTokenRequest } from '../../lambdas/providers/call.ts';
import { buildCodeRequest } from '../../lambdas/providers/request.ts';
import { type Answer, verdict } from '../../lambdas/providers/verdict.ts';
import { CliError } from '../command.ts';
import type { AuthorizationRequest, ConnectableProvider } from './authorization.ts';
import { providerError } from './provider-text.ts';

/** The tokens of a grant that can be kept alive. */
export type Grant = RefreshedTokens & { readonly refreshToken: string };

/** People wait for it, and it can only be tried once. */
const timeoutMs = 20_000;

/** Exchanges the code of an authorization response for tokens. Throws `CliError`, which holds none of either. */
export async function obtainGrant(
  provider: ConnectableProvider,
  { redirectUri, verifier, state }: AuthorizationRequest,
  response: URLSearchParams,
  nowSeconds: number,
): Promise<Grant> {
  const { client } = provider;
  const code = response.get('code') ?? '';
  const built = await buildCodeRequest(client, { code, redirectUri, verifier }, { nowSeconds });
  if (!built.ok) throw new CliError(built.code, built.fix);
  const answer = await sendTokenRequest(built.request, timeoutMs);
  const outcome = verdict(client.provider, answer);
  if (outcome.kind !== 'refreshed') {
    throw refusal(provider, answer, [code, verifier, state, client.clientSecret ?? '']);
  }
  const { refreshToken } = outcome.tokens;
  if (refreshToken === null) throw noRefreshToken(provider);
  return { ...outcome.tokens, refreshToken };
}

function refusal(
  { client: { provider }, secretId }: ConnectableProvider,
  answer: Answer,
  secrets: readonly string[],
): CliError {
  const where = `The token endpoint of ${provider.displayName}`;
  if (answer.kind === 'no_response') {
    return new CliError(
      'token_endpoint_silent',
      `${where} did not answer (${answer.reason}); nothing was changed. Check tokenEndpoint in the secret ${secretId}, and try again.`,
    );
  }
  const { error, error_description: description } = objectIn(answer.body);
  if (typeof error !== 'string') {
    return new CliError(
      'token_answer_malformed',
      `${where} answered with HTTP ${answer.status} and without tokens; nothing was changed. Check tokenEndpoint in the secret ${secretId}.`,
    );
  }
  const words = providerError(error, typeof description === 'string' ? description : null, secrets);
  return new CliError('code_refused', `${where} refused the code: ${words}. ${refusalHint(error, secretId)}`);
}

function refusalHint(error: string, secretId: string): string {
  switch (error) {
    case 'invalid_client':
      return `Check clientId, clientSecret and clientAuthentication in the secret ${secretId}.`;
    case 'unauthorized_client':
    case 'unsupported_grant_type':
      return 'Allow the authorization code flow for this client at the provider.';
    default:
      return 'Nothing was changed; try again.';
  }
}

function noRefreshToken({ client: { provider }, secretId }: ConnectableProvider): CliError {
  return new CliError(
    'refresh_token_missing',
    `${provider.displayName} gave no refresh token, so there is nothing to keep alive; nothing was changed. Ask for one: with the scope offline_access at many providers (--scope, or provider.scopes in the secret ${secretId}), with {"access_type": "offline", "prompt": "consent"} as provider.authorizationParameters at Google.`,
  );
}

function objectIn(body: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body ?? '');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
