import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { Authorizer } from './iam/authorizer.ts';
import { denialMessage } from './iam/authorizer.ts';
import { judgeRequestTime, trueTimeMs } from './iam/request-time.ts';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';
import { callerOf, closeServer, listenOnLoopback, readBody, sendJson } from './loopback.ts';
import { secretArn } from './secret-arn.ts';
import { generateSecretString } from './secret-string.ts';
import type { ServiceFault } from './service-fault.ts';
import type { SecretSpec } from './stack.ts';

/** A Secrets Manager endpoint. */
export interface Secrets {
  endpoint: string;
  /** Gives a secret a new current value, creating it if need be. Name, ARN, or a template secret's logical id. */
  put(name: string, value: string | object): void;
  /** The current value of a secret. Name, ARN, or a template secret's logical id; undefined when there is none. */
  get(name: string): string | undefined;
  /** Breaks the service for functions; null mends it. */
  setFault(fault: ServiceFault | null): void;
  stop(): Promise<void>;
}

export interface SecretsOptions {
  specs: SecretSpec[];
  /** Values by name (or by a template secret's logical id); they come before the template's own. */
  given: Record<string, string | object>;
  port?: number | undefined;
  /** Called with the name and the new current value of a secret that a caller of the API has changed. */
  onCurrent?: ((name: string, value: string) => void) | undefined;
  /** Judges the calls of functions; without it everybody is the account's administrator. */
  authorize?: Authorizer['authorize'];
}

interface Version {
  id: string;
  secretString: string;
  stages: string[];
  createdAtMs: number;
}

interface Secret {
  name: string;
  arn: string;
  logicalId?: string;
  /** Newest first. */
  versions: Version[];
}

type Parameters = Record<string, unknown>;

/** An error of the service, by its code. */
class SecretsError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Starts the endpoint with the template's secrets and the given ones.
 * @throws Error that names a fixed port in use.
 */
export async function startSecrets({
  specs,
  given,
  port,
  onCurrent,
  authorize,
}: SecretsOptions): Promise<Secrets> {
  const secrets: Secret[] = specs.map(({ id, name }) => ({
    name,
    arn: secretArn(name),
    logicalId: id,
    versions: [],
  }));
  for (const [name, value] of Object.entries(given)) put(name, value);
  for (const [index, spec] of specs.entries()) {
    const secret = secrets[index]!;
    if (secret.versions.length > 0) continue;
    if (spec.secretString !== undefined) addVersion(secret, spec.secretString);
    else if (spec.generate) addVersion(secret, generateSecretString(spec.generate));
  }

  function put(name: string, value: string | object): void {
    const secret = secrets.find((other) => other.logicalId === name) ?? find(name) ?? create(name);
    addVersion(secret, typeof value === 'string' ? value : JSON.stringify(value));
  }

  function create(name: string): Secret {
    const secret = { name, arn: secretArn(name), versions: [] };
    secrets.push(secret);
    return secret;
  }

  /** By name, ARN, or ARN without its six random characters, as Secrets Manager accepts. */
  function find(secretId: string): Secret | undefined {
    return secrets.find(
      ({ name, arn }) => secretId === name || secretId === arn || secretId === arn.slice(0, -7),
    );
  }

  /**
   * A call is judged by the whole ARN, however the secret is addressed. One that does not exist has no six characters
   * yet, so a role that is allowed exactly one secret is denied instead of told that it is missing.
   */
  function arnFor(secretId: string): string {
    if (secretId.startsWith('arn:')) return find(secretId)?.arn ?? secretId;
    return find(secretId)?.arn ?? `arn:aws:secretsmanager:${REGION}:${ACCOUNT_ID}:secret:${secretId}`;
  }

  function checkAccess(callerId: string | null, action: string, parameters: Parameters): void {
    // No policy can be about one secret there.
    if (action === 'ListSecrets') {
      refuseUnlessAllowed(callerId, action, '*', {}, '*');
      return;
    }
    const secretId = required(parameters, action === 'CreateSecret' ? 'Name' : 'SecretId');
    const { VersionId: versionId, VersionStage: stage } = parameters;
    const resource = action === 'CreateSecret' ? secretArn(secretId) : arnFor(secretId);
    const context = {
      'secretsmanager:SecretId': arnFor(secretId),
      ...(typeof versionId === 'string' && { 'secretsmanager:VersionId': versionId }),
      ...(typeof stage === 'string' && { 'secretsmanager:VersionStage': stage }),
    };
    refuseUnlessAllowed(callerId, action, resource, context, secretId);
  }

  /** Throws unless the call is allowed; the message names the secret as the caller did. */
  function refuseUnlessAllowed(
    callerId: string | null,
    action: string,
    resource: string,
    context: Record<string, string>,
    secretId: string,
  ): void {
    const verdict = authorize?.({ callerId, action: `secretsmanager:${action}`, resource, context });
    if (!verdict || verdict.allowed) return;
    throw new SecretsError('AccessDeniedException', denialMessage({ ...verdict, resource: secretId }));
  }

  function existing(parameters: Parameters): Secret {
    const secret = find(required(parameters, 'SecretId'));
    if (secret) return secret;
    throw new SecretsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  }

  const actions: Record<string, (parameters: Parameters) => object> = {
    GetSecretValue(parameters) {
      const secret = existing(parameters);
      const stage = String(parameters.VersionStage ?? 'AWSCURRENT');
      const version = secret.versions.find(({ id, stages }) =>
        parameters.VersionId === undefined ? stages.includes(stage) : id === parameters.VersionId,
      );
      if (!version) {
        const wanted =
          parameters.VersionId === undefined
            ? `staging label: ${stage}`
            : `VersionId: ${parameters.VersionId}`;
        throw new SecretsError(
          'ResourceNotFoundException',
          `Secrets Manager can't find the specified secret value for ${wanted}`,
        );
      }
      return { ...identify(secret), ...present(version), SecretString: version.secretString };
    },
    PutSecretValue(parameters) {
      const secret = existing(parameters);
      const secretString = required(parameters, 'SecretString');
      const { ClientRequestToken: token = randomUUID(), VersionStages: stages = ['AWSCURRENT'] } = parameters;
      const id = String(token);
      const known = secret.versions.find((version) => version.id === id);
      if (known && known.secretString !== secretString) {
        throw new SecretsError(
          'ResourceExistsException',
          'A version with this token exists, and has another value.',
        );
      }
      const version = known ?? addVersion(secret, secretString, { id, stages: stages as string[] });
      if (!known && version.stages.includes('AWSCURRENT')) onCurrent?.(secret.name, secretString);
      return { ...identify(secret), ...present(version) };
    },
    UpdateSecretVersionStage(parameters) {
      const secret = existing(parameters);
      const stage = required(parameters, 'VersionStage');
      const { MoveToVersionId: moveTo, RemoveFromVersionId: removeFrom } = parameters;
      const holder = secret.versions.find(({ stages }) => stages.includes(stage));
      if (holder && holder.id !== removeFrom) {
        throw new SecretsError(
          'InvalidParameterException',
          `The parameter RemoveFromVersionId can't be empty or another version than ${holder.id}, to which staging label ${stage} is attached.`,
        );
      }
      const version = moveTo === undefined ? undefined : secret.versions.find(({ id }) => id === moveTo);
      if (moveTo !== undefined && !version) {
        throw new SecretsError('ResourceNotFoundException', `There is no version ${moveTo}.`);
      }
      if (holder) holder.stages = holder.stages.filter((label) => label !== stage);
      if (version) label(secret, version, stage);
      if (holder && version && stage === 'AWSCURRENT') label(secret, holder, 'AWSPREVIOUS');
      if (version && stage === 'AWSCURRENT') onCurrent?.(secret.name, version.secretString);
      return identify(secret);
    },
    CreateSecret(parameters) {
      const name = required(parameters, 'Name');
      const { SecretString: secretString, ClientRequestToken: token = randomUUID() } = parameters;
      const known = find(name);
      if (known) {
        // A call that is repeated, as its answer was lost.
        const made = known.versions.find(({ id }) => id === token);
        if (made && made.secretString === secretString) return { ...identify(known), ...present(made) };
        throw new SecretsError(
          'ResourceExistsException',
          `The operation failed because the secret ${name} already exists.`,
        );
      }
      const secret = create(name);
      if (typeof secretString !== 'string') return identify(secret);
      const version = addVersion(secret, secretString, { id: String(token) });
      onCurrent?.(secret.name, secretString);
      return { ...identify(secret), ...present(version) };
    },
    ListSecrets(parameters) {
      const { MaxResults: maxResults = 100, NextToken: nextToken, SortOrder: order = 'desc' } = parameters;
      const first = nextToken === undefined ? 0 : Number(nextToken);
      if (!Number.isInteger(first)) {
        throw new SecretsError('InvalidNextTokenException', 'The NextToken value is invalid.');
      }
      const length = Number(maxResults);
      if (!(Number.isInteger(length) && length >= 1 && length <= 100)) {
        throw new SecretsError('InvalidParameterException', 'MaxResults must be from 1 to 100.');
      }
      const fitting = secrets.filter(fits(parameters.Filters));
      // In the order in which they were made, the newest first unless asked otherwise.
      if (order === 'desc') fitting.reverse();
      const last = first + length;
      return {
        SecretList: fitting.slice(first, last).map((secret) => ({
          ...identify(secret),
          SecretVersionsToStages: stagesOf(secret),
        })),
        ...(last < fitting.length && { NextToken: String(last) }),
      };
    },
    DescribeSecret(parameters) {
      const secret = existing(parameters);
      return { ...identify(secret), VersionIdsToStages: stagesOf(secret) };
    },
  };

  let fault: ServiceFault | null = null;
  const server = createServer(async (request, response) => {
    if (fault && callerOf(request) !== null) {
      if ('status' in fault) sendJson(response, fault.status, { __type: 'InternalServiceError' });
      return;
    }
    const action = String(request.headers['x-amz-target'] ?? '').replace('secretsmanager.', '');
    try {
      const body = await readBody(request);
      const untimely = judgeRequestTime(request.headers, trueTimeMs());
      if (untimely) throw new SecretsError(untimely.code, untimely.message);
      const parameters = JSON.parse(body) as Parameters;
      const handle = Object.hasOwn(actions, action) ? actions[action] : undefined;
      if (!handle) {
        const known = Object.keys(actions).join(', ');
        throw new SecretsError('UnknownOperationException', `The local Secrets Manager knows ${known}.`);
      }
      checkAccess(callerOf(request), action, parameters);
      sendJson(response, 200, handle(parameters), { 'content-type': 'application/x-amz-json-1.1' });
    } catch (error) {
      const code = error instanceof SecretsError ? error.code : 'InvalidRequestException';
      sendJson(
        response,
        400,
        { __type: code, message: (error as Error).message },
        {
          'content-type': 'application/x-amz-json-1.1',
        },
      );
    }
  });
  const actualPort = await listenOnLoopback(server, port, 'ports.secretsManager');
  return {
    endpoint: `http://127.0.0.1:${actualPort}`,
    put,
    get(name) {
      const secret = secrets.find(({ logicalId }) => logicalId === name) ?? find(name);
      return secret?.versions.find(({ stages }) => stages.includes('AWSCURRENT'))?.secretString;
    },
    setFault(next) {
      fault = next;
    },
    stop: () => closeServer(server),
  };
}

/**
 * Adds a version under its labels; one that becomes the current one makes the one before the previous one. The first
 * version of a secret is the current one in any case.
 */
function addVersion(
  secret: Secret,
  secretString: string,
  { id = randomUUID() as string, stages = ['AWSCURRENT'] } = {},
): Version {
  const isFirst = secret.versions.length === 0;
  const before = secret.versions.find((version) => version.stages.includes('AWSCURRENT'));
  const version: Version = { id, secretString, stages: [], createdAtMs: Date.now() };
  secret.versions.unshift(version);
  for (const stage of stages) label(secret, version, stage);
  if (isFirst) label(secret, version, 'AWSCURRENT');
  if (before && version.stages.includes('AWSCURRENT')) label(secret, before, 'AWSPREVIOUS');
  return version;
}

/** Attaches a label to one version and takes it from the others. */
function label(secret: Secret, version: Version, stage: string): void {
  for (const other of secret.versions) other.stages = other.stages.filter((attached) => attached !== stage);
  version.stages.push(stage);
}

function identify({ name, arn }: Secret): object {
  return { Name: name, ARN: arn };
}

function stagesOf({ versions }: Secret): Record<string, string[]> {
  return Object.fromEntries(
    versions.filter(({ stages }) => stages.length > 0).map(({ id, stages }) => [id, stages]),
  );
}

/**
 * Whether a secret fits the filters of ListSecrets: all of them, and of each any value. Of its keys only `name` is
 * known here, which matches from the begin of the name, letter case included; a value with `!` in front excludes.
 */
function fits(filters: unknown): (secret: Secret) => boolean {
  const tests = ((filters ?? []) as { Key?: string; Values?: string[] }[]).map(
    ({ Key: key, Values: values }) => {
      if (key !== 'name') {
        throw new SecretsError(
          'InvalidParameterException',
          `The local Secrets Manager filters by name, not by ${key}.`,
        );
      }
      return (name: string) =>
        (values ?? []).some((value) =>
          value.startsWith('!') ? !name.startsWith(value.slice(1)) : name.startsWith(value),
        );
    },
  );
  return ({ name }) => tests.every((test) => test(name));
}

function present(version: Version): object {
  return { VersionId: version.id, VersionStages: version.stages, CreatedDate: version.createdAtMs / 1_000 };
}

function required(parameters: Parameters, name: string): string {
  const value = parameters[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new SecretsError('InvalidParameterException', `${name} is missing or no string.`);
}
