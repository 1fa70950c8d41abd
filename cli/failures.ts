import { CliError, type ExitCode, UsageError } from './command.ts';

/** A failure for people and for scripts. */
export interface Failure {
  /** Stable. */
  readonly code: string;
  readonly message: string;
  readonly exitCode: ExitCode;
  /** Nobody foresaw it: where it came from helps whoever mends it. */
  readonly unexpected: boolean;
}

interface UnknownError extends Error {
  readonly code?: unknown;
  readonly $fault?: unknown;
  readonly Code?: unknown;
}

const unreachable = /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/;
const denied =
  /^(AccessDenied|AccessDeniedException|AuthorizationError|NotAuthorized|UnauthorizedOperation)$/;
const expired = /^(ExpiredToken|ExpiredTokenException|RequestExpired)$/;
const unrecognized =
  /^(UnrecognizedClientException|InvalidClientTokenId|InvalidAccessKeyId|InvalidSignatureException|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken)$/;
const throttled =
  /^(Throttling|ThrottlingException|ThrottledException|TooManyRequestsException|RequestThrottled)$/;

const signIn =
  'Sign in as the AWS CLI does (aws sso login, aws configure), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';

/** Whether AWS does not let the caller do this. */
export function isAccessDenied(error: unknown): boolean {
  return error instanceof Error && denied.test(error.name);
}

/** What went wrong, in plain words, and what to do. `local`: the stack that `npm start` runs was asked. */
export function explain(thrown: unknown, { local }: { readonly local: boolean }): Failure {
  const failed = (code: string, message: string): Failure => ({
    code,
    message,
    exitCode: 1,
    unexpected: false,
  });
  if (thrown instanceof UsageError) return { ...failed('usage', thrown.message), exitCode: 2 };
  if (thrown instanceof CliError) return failed(thrown.code, thrown.message);
  const error = (thrown instanceof Error ? thrown : new Error(String(thrown))) as UnknownError;
  const { name, message } = error;
  const code = typeof error.code === 'string' ? error.code : '';

  if (unreachable.test(code) || name === 'TimeoutError') {
    return local
      ? failed(
          'not_running',
          `The local system does not answer (${code || name}). Start it with npm start, and keep it running.`,
        )
      : failed(
          'aws_unreachable',
          `AWS does not answer (${code || name}). Check the network, and the region in AWS_REGION or your profile.`,
        );
  }
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    return /expired|sso login/i.test(message)
      ? failed('credentials_expired', `The AWS sign-in has expired: ${sentence(message)} Run aws sso login.`)
      : failed('credentials_missing', `There are no AWS credentials: ${sentence(message)} ${signIn}.`);
  }
  if (expired.test(name)) {
    return failed('credentials_expired', `The AWS credentials have expired. ${signIn}.`);
  }
  if (unrecognized.test(name)) {
    return failed('credentials_invalid', `AWS does not know these credentials (${name}). ${signIn}.`);
  }
  if (denied.test(name)) {
    return failed(
      'access_denied',
      `AWS does not allow it: ${sentence(message)} Sign in with a role that may, or ask for that permission.`,
    );
  }
  if (message === 'Region is missing') {
    return failed(
      'region_missing',
      'No AWS region is set. Set AWS_REGION to the region of the stack, or a region in your profile (aws configure set region …).',
    );
  }
  if (throttled.test(name)) {
    return failed('throttled', `AWS asks for patience (${name}). Try again in a minute.`);
  }
  if (error.$fault !== undefined) {
    return failed(name, `AWS answered ${name}: ${sentence(message)}`);
  }
  return { ...failed('unexpected', `${name}: ${message}`), unexpected: true };
}

/** With a full stop. */
function sentence(text: string): string {
  return /[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`;
}
