import { GetSecretValueCommand, ResourceNotFoundException } from '@aws-sdk/client-secrets-manager';
import type { ProviderClient } from '../../lambdas/providers/client.ts';
import { TokenKeyError } from '../../lambdas/sealing/token-keys.ts';
import { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import { findProviderClient } from '../../lambdas/secrets/provider-clients.ts';
import { CliError } from '../command.ts';
import type { Target } from '../target.ts';

/** Our client at a provider, as its functions know it. Throws `CliError`. */
export async function readProviderClient(
  target: Target,
  provider: string,
): Promise<{ readonly client: ProviderClient; readonly secretId: string }> {
  const prefix = target.output('ProviderSecretPrefix');
  const found = await findProviderClient(provider, prefix, (secretId) => readSecret(target, secretId));
  if (!found.ok) throw new CliError(found.code, found.fix);
  // A client without a secret is one that the secret of its provider's name would replace.
  return { client: found.client, secretId: found.secretId ?? prefix + provider };
}

/** The sealer with the stack's current key. Throws `CliError`. */
export async function readSealer(target: Target): Promise<TokenSealer> {
  const secretId = target.output('TokenKeySecret');
  const secret = await readSecret(target, secretId);
  if (secret === null) {
    throw new CliError(
      'secret_unusable',
      `The token key secret ${secretId} does not exist or is empty. Deploy the stack again.`,
    );
  }
  try {
    return await TokenSealer.fromSecret(secret);
  } catch (error) {
    if (error instanceof TokenKeyError) throw new CliError(error.code, error.message, { cause: error });
    throw error;
  }
}

/** `null`: it does not exist, or holds no string. */
async function readSecret({ secrets }: Target, secretId: string): Promise<string | null> {
  try {
    const { SecretString: value } = await secrets.send(new GetSecretValueCommand({ SecretId: secretId }));
    return value ?? null;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return null;
    throw error;
  }
}
