import { REGION } from './intrinsics.ts';
import type { FunctionSpec } from './stack.ts';

/** Base URLs of the services that functions call. */
export interface ServiceEndpoints {
  sqs: string;
  secretsManager: string;
  /** SES v1 and v2. */
  ses: string;
  lambda: string;
  /** PEM file of the authority that signed the certificate of the database cluster; null: there is no cluster. */
  databaseAuthorityFile: string | null;
}

/** An access key id tells endpoints who calls, and so which role has to allow it: this and the function's logical id. */
export const callerPrefix = 'LOCAL';
export const secretAccessKey = 'local';
export const sessionToken = 'local';

/** The log stream of every execution environment. */
export const LOG_STREAM = 'local/[$LATEST]';

/**
 * The variables of a function's process: the template's, what Lambda adds, and the endpoints that AWS SDKs read.
 * Nothing of this process' own environment is among them.
 * @param clockOffsetMs How far the wall clock of the process is ahead.
 */
export function functionVariables(
  spec: FunctionSpec,
  taskRoot: string,
  endpoints: ServiceEndpoints,
  clockOffsetMs = 0,
): Record<string, string> {
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LANG: 'en_US.UTF-8',
    ...spec.environment,
    TZ: ':UTC',
    _HANDLER: spec.handler,
    LAMBDA_TASK_ROOT: taskRoot,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_FUNCTION_NAME: spec.name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
    AWS_LAMBDA_LOG_GROUP_NAME: spec.logGroupName,
    AWS_LAMBDA_LOG_STREAM_NAME: LOG_STREAM,
    AWS_ACCESS_KEY_ID: `${callerPrefix}${spec.id}`,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
    // No developer's profile and no instance's role may reach a function.
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ENDPOINT_URL_SQS: endpoints.sqs,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoints.secretsManager,
    AWS_ENDPOINT_URL_SES: endpoints.ses,
    AWS_ENDPOINT_URL_SESV2: endpoints.ses,
    // Every other service ends here, in an answer that says so, instead of in the real AWS.
    AWS_ENDPOINT_URL: endpoints.lambda,
    ...(endpoints.databaseAuthorityFile === null
      ? {}
      : { NODE_EXTRA_CA_CERTS: endpoints.databaseAuthorityFile }),
    // The bootstrap takes it for itself: no handler sees it.
    ...(clockOffsetMs === 0 ? {} : { LOCAL_CLOCK_OFFSET_MS: String(clockOffsetMs) }),
  };
}
