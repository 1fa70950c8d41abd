import {
  formatTokenKeys,
  parseTokenKeys,
  TokenKeyError,
  type TokenKeys,
} from '../../lambdas/sealing/token-keys.ts';
import { CliError } from '../command.ts';
import { readCurrentVersion, replaceCurrentVersion } from '../secret-versions.ts';
import type { Target } from '../target.ts';

/** The keys as one version of the secret holds them. */
export interface StoredTokenKeys {
  readonly keys: TokenKeys;
  readonly versionId: string;
  /** When this version was made. */
  readonly createdAt: Date;
}

/** Reads the keys in force. Throws `CliError` for a secret that is unusable, and what the SDK throws. */
export async function readTokenKeys(target: Target): Promise<StoredTokenKeys> {
  const secretId = target.output('TokenKeySecret');
  const read = await readCurrentVersion(target, secretId);
  if (read === null) {
    throw new CliError(
      'secret_unusable',
      `The token key secret ${secretId} does not exist or is empty. Deploy the stack again.`,
    );
  }
  try {
    const keys = await parseTokenKeys(read.value);
    return { keys, versionId: read.versionId, createdAt: read.createdAt };
  } catch (error) {
    if (!(error instanceof TokenKeyError)) throw error;
    throw new CliError(error.code, `${error.message} Mend the secret ${secretId}.`, { cause: error });
  }
}

/**
 * Puts other keys in force, provided that the version read before still is; nothing has changed if it is not. Throws
 * `CliError`.
 */
export async function replaceTokenKeys(
  target: Target,
  { versionId }: StoredTokenKeys,
  keys: TokenKeys,
): Promise<void> {
  const secretId = target.output('TokenKeySecret');
  if (await replaceCurrentVersion(target, { secretId, versionId }, formatTokenKeys(keys))) return;
  throw new CliError(
    'token_key_changed',
    'Somebody else has changed the token key meanwhile; nothing was changed here. Look at evergrant key status, and try again.',
  );
}
