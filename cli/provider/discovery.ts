import { allowInsecureRequests, discoveryRequest, processDiscoveryResponse } from 'oauth4webapi';
import type { ProviderDescription } from '../../lambdas/providers/definition.ts';
import { problemOfEndpoint } from '../../lambdas/providers/definition.ts';
import { CliError, UsageError } from '../command.ts';

const timeoutMs = 10_000;

/** The methods of authentication that a definition knows, the best first where a server takes several. */
const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const;

/** What a server says of itself, as fields of a definition. */
export type Discovered = Pick<
  ProviderDescription,
  'tokenEndpoint' | 'authorizationEndpoint' | 'issuer' | 'clientAuthentication'
>;

/**
 * Reads an issuer's metadata, OpenID Connect Discovery 1.0 §4: the issuer that it names must be the one that was asked
 * for. `signs`: our client has a private key. Throws `UsageError` for what is no issuer, and `CliError`.
 */
export async function discover(issuer: string, { signs }: { readonly signs: boolean }): Promise<Discovered> {
  const problem = problemOfEndpoint(issuer, '--issuer');
  if (problem !== null) throw new UsageError(`${problem}.`);
  const url = new URL(issuer);
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const failed = (what: string, cause?: unknown) =>
    new CliError(
      'discovery_failed',
      `${address} ${what}; nothing was changed. Check --issuer, or give the addresses yourself: {"provider": {"tokenEndpoint": "https://…"}} on standard input.`,
      { cause },
    );
  let response: Response;
  try {
    response = await discoveryRequest(url, {
      // Loopback addresses may go without TLS, as everywhere.
      [allowInsecureRequests]: true,
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    throw failed(`cannot be reached (${reasonOf(error)})`, error);
  }
  if (response.status !== 200) throw failed(`answers with HTTP ${response.status}`);
  let metadata: Awaited<ReturnType<typeof processDiscoveryResponse>>;
  try {
    metadata = await processDiscoveryResponse(url, response);
  } catch (error) {
    throw failed('holds no metadata of this issuer: it must be JSON, and name the same "issuer"', error);
  }
  const { token_endpoint, authorization_endpoint, token_endpoint_auth_methods_supported } = metadata;
  if (token_endpoint === undefined) throw failed('names no token_endpoint');
  return {
    issuer: metadata.issuer,
    tokenEndpoint: token_endpoint,
    ...(authorization_endpoint !== undefined && { authorizationEndpoint: authorization_endpoint }),
    clientAuthentication: methodOf(token_endpoint_auth_methods_supported, signs, failed),
  };
}

function methodOf(
  supported: unknown,
  signs: boolean,
  failed: (what: string) => CliError,
): (typeof methods)[number] {
  // OpenID Connect Discovery 1.0 §3: if omitted, the default is client_secret_basic.
  const offered = Array.isArray(supported) ? (supported as unknown[]) : ['client_secret_basic'];
  if (signs && offered.includes('private_key_jwt')) return 'private_key_jwt';
  const method = methods.find((each) => offered.includes(each));
  if (method !== undefined) return method;
  throw failed(`takes none of the methods of authentication that are known here (${methods.join(', ')})`);
}

/** The network's code, and nothing that a server wrote. */
function reasonOf(error: unknown): string {
  const { name, code, cause } = error as { name: string; code?: unknown; cause?: { code?: unknown } };
  if (typeof cause?.code === 'string') return cause.code;
  return name === 'TimeoutError' ? 'timeout' : typeof code === 'string' ? code : name;
}
