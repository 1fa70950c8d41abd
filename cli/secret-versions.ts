import { randomUUID } from 'node:crypto';
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceNotFoundException,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { CliError } from './command.ts';
import type { Target } from './target.ts';

/** The version of a secret that is in force. */
export interface CurrentVersion {
  readonly secretId: string;
  readonly value: string;
  readonly versionId: string;
  /** When this version was made. */
  readonly createdAt: Date;
}

/** The label that Secrets Manager's own rotations give to a version that is not in force yet. */
const pending = 'AWSPENDING';
const current = 'AWSCURRENT';

/** `null`: there is no such secret, or none with a string in force. Throws what the SDK throws for anything else. */
export async function readCurrentVersion(
  { secrets }: Pick<Target, 'secrets'>,
  secretId: string,
): Promise<CurrentVersion | null> {
  try {
    const { SecretString, VersionId, CreatedDate } = await secrets.send(
      new GetSecretValueCommand({ SecretId: secretId }),
    );
    if (SecretString === undefined) return null;
    return {
      secretId,
      value: SecretString,
      versionId: VersionId ?? '',
      createdAt: CreatedDate ?? new Date(0),
    };
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return null;
    throw deletedSecret(error, secretId) ?? error;
  }
}

/**
 * Puts another value in force, provided that the version read before still is: the new version is stored first, and
 * then takes over the label of exactly that one, which Secrets Manager refuses if somebody else was quicker. Returns
 * whether it did; whoever is interrupted in between leaves what was in force in force.
 */
export async function replaceCurrentVersion(
  target: Pick<Target, 'secrets'>,
  { secretId, versionId }: Pick<CurrentVersion, 'secretId'> & { readonly versionId: string | null },
  value: string,
): Promise<boolean> {
  const { VersionId } = await target.secrets.send(
    new PutSecretValueCommand({
      SecretId: secretId,
      SecretString: value,
      // The SDK repeats a call whose answer was lost: with the same token it makes no second version.
      ClientRequestToken: randomUUID(),
      VersionStages: [pending],
    }),
  );
  try {
    await target.secrets.send(
      new UpdateSecretVersionStageCommand({
        SecretId: secretId,
        VersionStage: current,
        MoveToVersionId: VersionId,
        ...(versionId !== null && { RemoveFromVersionId: versionId }),
      }),
    );
    return true;
  } catch (error) {
    if ((await readCurrentVersion(target, secretId))?.versionId === VersionId) return true;
    if ((error as Error).name !== 'InvalidParameterException') throw error;
    return false;
  }
}

/**
 * Makes a secret with its first value, or gives one to a secret that has none. Returns whether it did: not where
 * somebody else was quicker.
 */
export async function createSecret(
  target: Pick<Target, 'secrets'>,
  secretId: string,
  { value, description }: { readonly value: string; readonly description: string },
): Promise<boolean> {
  try {
    await target.secrets.send(
      new CreateSecretCommand({
        Name: secretId,
        SecretString: value,
        Description: description,
        ClientRequestToken: randomUUID(),
      }),
    );
    return true;
  } catch (error) {
    if ((error as Error).name !== 'ResourceExistsException') throw deletedSecret(error, secretId) ?? error;
    if ((await readCurrentVersion(target, secretId)) !== null) return false;
    return replaceCurrentVersion(target, { secretId, versionId: null }, value);
  }
}

/** Secrets Manager keeps a deleted secret for some days, in which its name is taken and nobody reads it. */
function deletedSecret(error: unknown, secretId: string): CliError | null {
  const { name, message } = error as Error;
  if (name !== 'InvalidRequestException' || !/deletion|deleted/i.test(message)) return null;
  return new CliError(
    'secret_deleted',
    `The secret ${secretId} is marked for deletion. Take that back first: aws secretsmanager restore-secret --secret-id ${secretId}`,
    { cause: error },
  );
}
