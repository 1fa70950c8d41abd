import type { AlarmChange, AlarmState } from './alarms.ts';
import { Alarms } from './alarms.ts';
import { createAsynchronousInvoker } from './asynchronous.ts';
import type { EmailFault, ReceivedEmail } from './email.ts';
import { startEmail } from './email.ts';
import { startEventSource } from './event-sources.ts';
import type { CloudEvent } from './events.ts';
import type { FunctionConfiguration, Functions } from './functions.ts';
import { startFunctions } from './functions.ts';
import type { Call, PermissionUsage, Verdict } from './iam/authorizer.ts';
import { createAuthorizer } from './iam/authorizer.ts';
import { checkExecutionRoles } from './iam/start-checks.ts';
import { ACCOUNT_ID } from './intrinsics.ts';
import type { InvocationResult } from './invocation.ts';
import type { Json } from './json.ts';
import type { LambdaApiActions } from './lambda-api.ts';
import { startLambdaApi } from './lambda-api.ts';
import { openLogFile } from './log-file.ts';
import type { QueueDisturbance } from './queues.ts';
import { startQueues } from './queues.ts';
import { startRdsGateway } from './rds-gateway.ts';
import { startSchedule } from './schedule.ts';
import { startSecrets } from './secrets.ts';
import type { ServiceFault } from './service-fault.ts';
import type { DatabaseClusterSpec, StackSpec } from './stack.ts';
import { readStack } from './stack.ts';
import { readTemplate } from './template.ts';

export interface LocalCloudOptions {
  /** A cloud assembly directory, such as `cdk.out`. */
  assemblyDir: string;
  stackName: string;
  /** Values by secret name, or by the logical id of a secret in the template, which they then replace. */
  secrets: Record<string, string | object>;
  /** The Postgres that serves the database cluster that the template creates, if it creates one (`ServedCluster`). */
  databases?: { upstreamUrl: string };
  /** Values for the stack's CloudFormation parameters; the others take their defaults. */
  parameters?: Record<string, string>;
  /** Overrides the interval of every scheduled rule; null means that none ever fires by itself. */
  scanIntervalMs?: number | null;
  /**
   * Milliseconds of the time that alarms live in. By default real time, faster by as much as `scanIntervalMs` is shorter
   * than the interval of the template's rule: with scans each second alarms see in minutes what a day would show.
   */
  alarmClock?: () => number;
  /**
   * Milliseconds by which the wall clock of a function's execution environment is ahead, asked whenever one starts; right
   * by default. Everybody else's clock stays right, that of the service that sets deadlines as well.
   */
  clockOffsetMs?: () => number;
  onEvent?: (event: CloudEvent) => void;
  /** Whether the queues feed their functions from the start on; true by default. */
  polling?: boolean;
  /** Called with the name and the new value of a secret that a caller of the API has changed. */
  onSecret?: ((name: string, value: string) => void) | undefined;
  /** What goes wrong between the functions, Lambda's pollers and SQS. */
  queueDisturbance?: QueueDisturbance;
  /** File that function output is appended to. */
  logFile?: string;
  /** Fixed ports on 127.0.0.1, instead of free ones. */
  ports?: { sqs?: number; secretsManager?: number; email?: number; lambda?: number };
}

export interface LocalQueue {
  url: string;
  arn: string;
  name: string;
  visibilityTimeoutMs: number;
  /** Logical id of the queue whose dead letters come here. */
  deadLetterOf?: string;
}

/** A running stack. Functions and queues go by their logical ids, functions by their names too. */
export interface LocalCloud {
  /** Base URLs; `inbox` is the page with the emails, `lambda` has Invoke and `/_switches`. */
  endpoints: { sqs: string; secretsManager: string; ses: string; inbox: string; lambda: string };
  /** Name and ARN of each function, by logical id. */
  functions: Record<string, { name: string; arn: string }>;
  queues: Record<string, LocalQueue>;
  /** Invokes a function and waits for its end. Rejects only when there is no such function. */
  invoke(idOrName: string, event: Json): Promise<InvocationResult>;
  /** The stack's outputs by name, but of those that name what the local cloud leaves out. */
  outputs: Record<string, string>;
  /** Lets the queues feed their functions, where they do not yet. */
  startPolling(): void;
  /** Changes a function's memory or variables; processes that live keep what they started with. */
  configure(idOrName: string, change: FunctionConfiguration): void;
  /** Kills the function's processes without warning. Returns their ids. */
  kill(idOrName: string): number[];
  /** Process ids of the function's execution environments. */
  pids(idOrName: string): number[];
  /** Gives a secret a new current value, creating it if need be. */
  putSecret(name: string, value: string | object): void;
  /** Current value of a secret by name, ARN or logical id. */
  getSecret(name: string): string | undefined;
  /** Breaks the email service; null mends it. */
  setEmailFault(fault: EmailFault | null): void;
  /** Breaks Secrets Manager for the functions; null mends it. */
  setSecretsFault(fault: ServiceFault | null): void;
  /** Breaks a queue for the functions that send to it; null mends it. By its logical id. */
  setQueueFault(queueId: string, fault: ServiceFault | null): void;
  /** How many calls the email service has had. */
  emailCallCount(): number;
  listEmails(): Promise<ReceivedEmail[]>;
  /** Breaks every connection to the database cluster, as a failover does. */
  cutDatabaseConnections(): void;
  alarms: {
    /** Current states by the alarms' names. */
    states(): ReadonlyMap<string, AlarmState>;
    /** Every change of a state so far, oldest first. */
    history(): readonly AlarmChange[];
    /** Brings them up to date, for whoever cannot wait for the next tenth of a second. */
    evaluate(): void;
    /** Names of those that only AWS can evaluate: its own metrics, expressions. */
    notEvaluated: readonly string[];
  };
  /** Whether the role of a function allows a call, for endpoints beside these; the call counts as made. */
  authorize(call: Call): Verdict;
  /**
   * How often every permission of the template was needed so far, and the calls that one was missing for. CDK's own
   * functions do not run here, so what is only theirs is left out.
   */
  permissionUsage(): PermissionUsage;
  /** `logical id (type)` of the resources that the local cloud leaves out. */
  unsupported: string[];
  /** Ends everything, killing what still runs. */
  stop(): Promise<void>;
}

/**
 * Runs a synthesized stack: queues, secrets, email and a database cluster, then the triggers, then event sources and
 * scheduled rules. Every call of a function, and every call that Lambda and EventBridge make for one, is judged by the
 * template's policies.
 * @throws Error for a template that can't be run or a fixed port in use (both named), and the function's error when a
 *   trigger fails; nothing is left running then.
 */
export async function startCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const ports = options.ports ?? {};
  const resources = new AsyncDisposableStack();
  try {
    const log = options.logFile ? openLogFile(options.logFile) : null;
    // Functions print nothing before there are alarms.
    let alarms: Alarms | undefined;
    const onEvent = (event: CloudEvent) => {
      log?.write(event);
      if (event.type === 'function.log') alarms?.take(event.line);
      options.onEvent?.(event);
    };

    // The endpoints come before the template, which names them, and functions after it: nobody asks earlier.
    const authorize = (call: Call): Verdict => iam.authorize(call);
    // The slowest part to start: the others go on meanwhile, and its failure is met where it is awaited.
    const emailStarting = startEmail({
      port: ports.email,
      onEvent,
      iam: { authorize, identities: () => stack.emailIdentities },
    });
    emailStarting.catch(() => {});
    resources.defer(async () => (await emailStarting.catch(() => null))?.stop());
    const queues = await startQueues(ports.sqs, authorize, options.queueDisturbance);
    resources.defer(() => queues.stop());
    const gateway = await startRdsGateway();
    resources.defer(() => gateway.stop());
    const template = readTemplate({
      assemblyDir: options.assemblyDir,
      stackName: options.stackName,
      parameters: options.parameters ?? {},
      sqsEndpoint: queues.endpoint,
      databaseEndpoint: gateway,
    });
    const stack = readStack(template);
    const watch = new Alarms({ specs: stack.alarms, nowMs: alarmClock(stack, options), onEvent });
    alarms = watch;
    const evaluating = setInterval(() => watch.evaluate(), ALARM_INTERVAL_MS);
    resources.defer(() => clearInterval(evaluating));
    const iam = createAuthorizer(stack.access, onEvent);
    checkExecutionRoles(stack, iam);
    const secrets = await startSecrets({
      specs: stack.secrets,
      given: options.secrets,
      port: ports.secretsManager,
      onCurrent: options.onSecret,
      authorize,
    });
    resources.defer(() => secrets.stop());
    await queues.create(stack.queues);
    const email = await emailStarting;
    const lambdaApi = await startLambdaApi(() => actions, ports.lambda);
    resources.defer(() => lambdaApi.stop());

    const databaseAuthorityFile =
      stack.databaseCluster &&
      (await gateway.serve({
        cluster: stack.databaseCluster,
        upstreamUrl: upstreamOf(stack.databaseCluster, options),
        callerIds: stack.functions.map(({ id }) => id),
        authorize: (callerId, action, resource) => authorize({ callerId, action, resource }).allowed,
        onEvent,
      }));
    const functions = await startFunctions({
      specs: stack.functions,
      endpoints: {
        sqs: queues.endpoint,
        secretsManager: secrets.endpoint,
        ses: email.endpoint,
        lambda: lambdaApi.endpoint,
        databaseAuthorityFile,
      },
      clockOffsetMs: options.clockOffsetMs,
      authorize,
      onEvent,
    });
    resources.defer(() => functions.stop());
    const asynchronous = createAsynchronousInvoker({
      specs: stack.functions,
      queues: stack.queues,
      functions,
      callAs: queues.callAs,
      onEvent,
    });
    resources.defer(() => asynchronous.stop());
    const actions: LambdaApiActions = {
      functionNames: () => stack.functions.flatMap(({ id, name }) => [id, name]),
      functionIdOf: (idOrName) =>
        stack.functions.find(({ id, name }) => id === idOrName || name === idOrName)?.id,
      authorize,
      invoke: (functionId, event) => functions.invoke(functionId, event, 'api'),
      send: (functionId, event) => asynchronous.send(functionId, event, 'api'),
      kill: (functionId) => functions.kill(functionId),
      setEmailFault: email.setFault,
      eventSourcesOf: (functionId) =>
        stack.eventSources
          .filter((source) => source.functionId === functionId)
          .map((source) => ({
            ...source,
            queueArn: stack.queues.find(({ id }) => id === source.queueId)!.arn,
            functionArn: stack.functions.find(({ id }) => id === functionId)!.arn,
          })),
      rule: (name) => stack.rules.find((rule) => rule.name === name),
      cutDatabaseConnections: gateway.cutConnections,
    };

    await runTriggers(stack, functions, onEvent);
    let polling = false;
    const startPolling = () => {
      if (polling || resources.disposed) return;
      polling = true;
      for (const spec of stack.eventSources) {
        const queue = stack.queues.find(({ id }) => id === spec.queueId)!;
        const call = queues.callAs(spec.functionId);
        const source = startEventSource({ spec, queue, call, functions, onEvent });
        resources.defer(() => source.stop());
      }
    };
    if (options.polling !== false) startPolling();
    const schedule = startSchedule({
      rules: stack.rules,
      ...(options.scanIntervalMs === undefined ? {} : { intervalMs: options.scanIntervalMs }),
      fire(rule, functionId, event) {
        const resource = stack.functions.find(({ id }) => id === functionId)!.arn;
        const { allowed } = iam.authorizeService({
          service: 'events.amazonaws.com',
          action: 'lambda:InvokeFunction',
          resource,
          context: { 'aws:SourceArn': rule.arn, 'aws:SourceAccount': ACCOUNT_ID },
        });
        if (!allowed) return;
        onEvent({ type: 'rule.fired', ruleId: rule.id, functionId });
        asynchronous.send(functionId, event, 'rule');
      },
    });
    resources.defer(() => schedule.stop());

    const functionId = (idOrName: string): string => {
      const id = actions.functionIdOf(idOrName);
      if (id) return id;
      throw new Error(`No function ${idOrName}. There are: ${actions.functionNames().join(', ')}.`);
    };
    const providerIds = new Set(stack.triggers.map(({ providerId }) => providerId));
    let stopping: Promise<void> | undefined;
    return {
      endpoints: {
        sqs: queues.endpoint,
        secretsManager: secrets.endpoint,
        ses: email.endpoint,
        inbox: `${email.endpoint}/`,
        lambda: lambdaApi.endpoint,
      },
      functions: Object.fromEntries(stack.functions.map(({ id, name, arn }) => [id, { name, arn }])),
      queues: Object.fromEntries(
        stack.queues.map(({ id, url, arn, name, visibilityTimeoutMs, deadLetterOf }) => [
          id,
          { url, arn, name, visibilityTimeoutMs, ...(deadLetterOf === undefined ? {} : { deadLetterOf }) },
        ]),
      ),
      outputs: template.outputs,
      invoke: async (idOrName, event) => functions.invoke(functionId(idOrName), event, 'api'),
      startPolling,
      configure: (idOrName, change) => functions.configure(functionId(idOrName), change),
      kill: (idOrName) => functions.kill(functionId(idOrName)),
      pids: (idOrName) => functions.pids(functionId(idOrName)),
      putSecret: secrets.put,
      getSecret: secrets.get,
      setEmailFault: email.setFault,
      setSecretsFault: secrets.setFault,
      setQueueFault: queues.setFault,
      emailCallCount: email.callCount,
      listEmails: email.list,
      cutDatabaseConnections: gateway.cutConnections,
      alarms: {
        states: () => watch.states(),
        history: () => watch.history(),
        evaluate: () => watch.evaluate(),
        notEvaluated: stack.alarmsNotEvaluated,
      },
      authorize,
      permissionUsage() {
        const { allowed, denied } = iam.usage();
        return { allowed: allowed.filter(({ holder }) => !providerIds.has(holder)), denied };
      },
      unsupported: stack.unsupported,
      stop() {
        stopping ??= resources.disposeAsync();
        return stopping;
      },
    };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}

const ALARM_INTERVAL_MS = 100;

function alarmClock({ rules: [rule] }: StackSpec, options: LocalCloudOptions): () => number {
  const { alarmClock: given, scanIntervalMs } = options;
  if (given) return given;
  if (!rule || !scanIntervalMs) return Date.now;
  const startedAtMs = performance.now();
  return () => ((performance.now() - startedAtMs) * rule.intervalMs) / scanIntervalMs;
}

function upstreamOf(cluster: DatabaseClusterSpec, { databases }: LocalCloudOptions): string {
  if (databases) return databases.upstreamUrl;
  throw new Error(
    `${cluster.id} (AWS::RDS::DBCluster) needs a Postgres that stands in for it: give databases.upstreamUrl.`,
  );
}

async function runTriggers(
  stack: StackSpec,
  functions: Functions,
  onEvent: (event: CloudEvent) => void,
): Promise<void> {
  for (const { id, functionId } of stack.triggers) {
    const result = await functions.invoke(functionId, {}, 'trigger');
    if (!result.ok) {
      throw new Error(`Trigger ${id} failed in ${functionId}: ${result.errorType}: ${result.errorMessage}`, {
        cause: result,
      });
    }
    onEvent({ type: 'trigger.done', triggerId: id, functionId, durationMs: result.durationMs });
  }
}
