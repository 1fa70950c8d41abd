import { startSecrets as startSecretsManager } from '../../local/cloud/secrets.ts';

/** Lets the AWS SDK of this process sign requests, and keeps it away from any real account. */
export function useTestAccount(): void {
  Object.assign(process.env, {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_EC2_METADATA_DISABLED: 'true',
  });
}

/** A Secrets Manager with these secrets, which SDK clients made from now on talk to. */
export async function startSecrets(given: Record<string, string | object>) {
  useTestAccount();
  const secrets = await startSecretsManager({ specs: [], given });
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = secrets.endpoint;
  return secrets;
}
