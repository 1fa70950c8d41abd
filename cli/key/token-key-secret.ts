import { randomUUID } from 'node:crypto';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import {
  formatTokenKeys,
  parseTokenKeys,
  TokenKeyError,
  type TokenKeys,
} from '../../lambdas/sealing/token-keys.ts';
import { CliError } from '../command.ts';
import type { Target } from '../target.ts';

/** The keys as one version of the secret holds them. */
export interface StoredTokenKeys {
  readonly keys: TokenKeys;
  readonly versionId: string;
  /** When this version was made. */
  readonly createdAt: Date;
}

/** The label that Secrets Manager's own rotations give to a version that is not in force yet. */
const pending = 'AWSPENDING';
const current = 'AWSCURRENT';

/** Reads the keys in force. Throws `CliError` for a secret that is unusable, and what the SDK throws. */
export async function readTokenKeys(target: Target): Promise<StoredTokenKeys> {
  const SecretId = target.output('TokenKeySecret');
  const { SecretString, VersionId, CreatedDate } = await target.secrets.send(
    new GetSecretValueCommand({ SecretId }),
  );
  try {
    const keys = await parseTokenKeys(SecretString ?? '');
    return { keys, versionId: VersionId ?? '', createdAt: CreatedDate ?? new Date(0) };
  } catch (error) {
    if (!(error instanceof TokenKeyError)) throw error;
    throw new CliError(error.code, `${error.message} Mend the secret ${SecretId}.`, { cause: error });
  }
}

/**
 * Puts other keys in force, provided that the version read before still is: the new version is stored first, and
 * then takes over the label of exactly that one, which Secrets Manager refuses if somebody else was quicker. Nothing
 * has changed then. Throws `CliError`.
 */
export async function replaceTokenKeys(
  target: Target,
  read: StoredTokenKeys,
  keys: TokenKeys,
): Promise<void> {
  const SecretId = target.output('TokenKeySecret');
  const { VersionId } = await target.secrets.send(
    new PutSecretValueCommand({
      SecretId,
      SecretString: formatTokenKeys(keys),
      // The SDK repeats a call whose answer was lost: with the same token it makes no second version.
      ClientRequestToken: randomUUID(),
      VersionStages: [pending],
    }),
  );
  try {
    await target.secrets.send(
      new UpdateSecretVersionStageCommand({
        SecretId,
        VersionStage: current,
        MoveToVersionId: VersionId,
        RemoveFromVersionId: read.versionId,
      }),
    );
  } catch (error) {
    if ((await readTokenKeys(target)).versionId === VersionId) return;
    if ((error as Error).name !== 'InvalidParameterException') throw error;
    throw new CliError(
      'token_key_changed',
      'Somebody else has changed the token key meanwhile; nothing was changed here. Look at evergrant key status, and try again.',
      { cause: error },
    );
  }
}
