import { type EventSourceMappingConfiguration, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda';
import { GetAccountCommand, GetEmailIdentityCommand } from '@aws-sdk/client-sesv2';
import { type QueueDepth, readQueueDepth } from '../queue-depths.ts';
import { readScheduleRule } from '../schedule.ts';
import { describeStack } from '../stack-target.ts';
import type { Target } from '../target.ts';
import { counted, listed } from '../words.ts';
import { type Found, failed, type Look, ok, warning } from './check.ts';

/** The outputs that the commands need; a stack without one of them runs another version. */
const neededOutputs = [
  'RefreshQueueUrl',
  'RefreshDeadLetterQueueUrl',
  'ThresholdQueueUrl',
  'ThresholdDeadLetterQueueUrl',
  'ScannerFunction',
  'RefresherFunction',
  'NotifierFunction',
  'MigratorFunction',
  'OperatorFunction',
  'ScheduleRule',
  'TokenKeySecret',
];

const deploy = 'Deploy this version: npx cdk deploy.';

/** What can be looked at from here, in the order of the way of an integration. */
export function looksAt(target: Target): Look[] {
  return [
    {
      code: 'stack_outputs',
      title: 'The outputs of this version are there',
      permission: 'cloudformation:DescribeStacks',
      look: async () => judgeOutputs(target.outputs),
    },
    ...(target.local ? [] : [stackLook(target)]),
    {
      code: 'schedule_rule',
      title: 'The schedule scans',
      permission: 'events:DescribeRule',
      async look() {
        const { state, expression } = await readScheduleRule(target);
        if (state === 'ENABLED') return ok(`Enabled, ${expression}.`);
        return failed(
          `The rule is ${state}: nothing scans, and tokens expire.`,
          `Enable it: aws events enable-rule --name ${target.output('ScheduleRule')}`,
        );
      },
    },
    eventSourceLook(target, 'Refresher', 'refresh queue'),
    eventSourceLook(target, 'Notifier', 'threshold event queue'),
    queueLook(target, 'refresh', 'The refresh queue has no dead letters'),
    queueLook(target, 'threshold', 'The threshold event queue has no dead letters'),
    queueLook(target, 'sealed', 'The sealed result queue has no dead letters'),
    ...emailLooks(target),
  ];
}

function judgeOutputs(outputs: Readonly<Record<string, string>>): Found {
  const missing = neededOutputs.filter((name) => outputs[name] === undefined);
  if (missing.length === 0) return ok(`All ${neededOutputs.length}.`);
  return failed(
    `${listed(missing)} ${missing.length === 1 ? 'is' : 'are'} missing: another version is deployed.`,
    deploy,
  );
}

function stackLook({ stackName }: Target): Look {
  return {
    code: 'stack_status',
    title: 'The last deployment is complete',
    permission: 'cloudformation:DescribeStacks',
    async look() {
      const { status, reason } = await describeStack(stackName);
      return judgeStack(status, reason);
    },
  };
}

/** What a stack's status means: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html */
export function judgeStack(status: string, reason: string | undefined): Found {
  const why = reason === undefined ? '' : ` (${reason})`;
  if (/^(CREATE|UPDATE|IMPORT)_COMPLETE$/.test(status)) return ok(`${status}.`);
  if (status === 'UPDATE_ROLLBACK_COMPLETE') {
    return warning(
      `It failed, and was taken back${why}.`,
      `Mend its cause and deploy again: npx cdk deploy.`,
    );
  }
  if (/_IN_PROGRESS$/.test(status))
    return warning(`${status}: a deployment is under way.`, 'Wait for its end.');
  return failed(
    `${status}${why}.`,
    'CloudFormation shows the events that led to it; mend the cause and deploy again.',
  );
}

function eventSourceLook(target: Target, stage: 'Refresher' | 'Notifier', queue: string): Look {
  const output = `${stage}Function`;
  return {
    code: `${stage.toLowerCase()}_event_source`,
    title: `The ${queue} feeds the ${stage.toLowerCase()}`,
    permission: 'lambda:ListEventSourceMappings',
    async look() {
      const name = target.output(output);
      const { EventSourceMappings: mappings = [] } = await target.lambda.send(
        new ListEventSourceMappingsCommand({ FunctionName: name }),
      );
      return judgeEventSources(mappings, name);
    },
  };
}

/** Whether something feeds a function. */
export function judgeEventSources(
  mappings: readonly Pick<EventSourceMappingConfiguration, 'State' | 'UUID' | 'StateTransitionReason'>[],
  functionName: string,
): Found {
  const [mapping] = mappings;
  if (!mapping) return failed(`Nothing feeds ${functionName}.`, deploy);
  const off = mappings.find(({ State }) => State !== 'Enabled');
  if (!off) return ok('Enabled.');
  if (/^(Creating|Enabling|Updating)$/.test(off.State ?? '')) {
    return warning(`${off.State}: AWS is at it.`, 'Run this again in a minute.');
  }
  return failed(
    `It is ${off.State}: the queue is not read.`,
    `Enable it: aws lambda update-event-source-mapping --enabled --uuid ${off.UUID}`,
  );
}

function queueLook(target: Target, queue: QueueDepth['queue'], title: string): Look {
  return {
    code: `${queue}_queue`,
    title,
    permission: 'sqs:GetQueueAttributes',
    look: async () => judgeQueue(await readQueueDepth(target, queue)),
  };
}

function judgeQueue({ visible, inFlight, deadLetters }: QueueDepth): Found {
  const depth = `${visible.toLocaleString('en-US')} waiting, ${inFlight.toLocaleString('en-US')} in flight`;
  if (deadLetters === 0) return ok(`${depth}.`);
  return failed(
    `${depth}, ${counted(deadLetters, 'dead letter')}.`,
    'Look at them (evergrant dlq list), mend the cause, then replay them (evergrant dlq replay).',
  );
}

function emailLooks(target: Target): Look[] {
  const sender = target.outputs.SenderEmail;
  if (sender === undefined) {
    return [
      {
        code: 'sender',
        title: 'SES has verified the sender of emails',
        permission: 'cloudformation:DescribeStacks',
        look: async () =>
          warning(
            'No sender is configured: only the app tells users.',
            'Deploy with -c senderEmail=… to send emails as well.',
          ),
      },
    ];
  }
  return [
    {
      code: 'sender',
      title: 'SES has verified the sender of emails',
      permission: 'ses:GetEmailIdentity',
      look: () => lookAtSender(target, sender),
    },
    {
      code: 'ses_account',
      title: 'SES sends to everybody',
      permission: 'ses:GetAccount',
      look: async () => judgeAccount(await target.ses.send(new GetAccountCommand())),
    },
  ];
}

/** The address if it is an identity itself, otherwise its domain: as SES decides who may send. */
async function lookAtSender(target: Target, sender: string): Promise<Found> {
  const domain = sender.slice(sender.lastIndexOf('@') + 1);
  for (const identity of [sender, domain]) {
    try {
      const { VerifiedForSendingStatus: verified, VerificationStatus: status } = await target.ses.send(
        new GetEmailIdentityCommand({ EmailIdentity: identity }),
      );
      if (verified) return ok(`${sender}${identity === domain ? `, by its domain` : ''}.`);
      return failed(
        `${identity} is not verified (${status ?? 'unknown'}): SES refuses every email.`,
        identity === domain
          ? 'Publish the DNS records that the SES console shows for it.'
          : 'Follow the link in the email that SES has sent to it, or verify its domain.',
      );
    } catch (error) {
      if ((error as Error).name !== 'NotFoundException') throw error;
    }
  }
  return failed(
    `Neither ${sender} nor ${domain} is an identity of SES in this region: SES refuses every email.`,
    `Create one: aws sesv2 create-email-identity --email-identity ${domain}`,
  );
}

/** Whether the account may send to anybody. */
export function judgeAccount(account: {
  readonly SendingEnabled?: boolean | undefined;
  readonly ProductionAccessEnabled?: boolean | undefined;
  readonly EnforcementStatus?: string | undefined;
  readonly SendQuota?: { readonly Max24HourSend?: number | undefined } | undefined;
}): Found {
  const { SendingEnabled, ProductionAccessEnabled, EnforcementStatus, SendQuota } = account;
  if (!SendingEnabled || EnforcementStatus === 'SHUTDOWN') {
    return failed('SES has paused sending.', 'The SES console says why, and how to answer.');
  }
  if (!ProductionAccessEnabled) {
    return failed(
      'The account is in the sandbox: only verified addresses get email, your users do not.',
      'Request production access in the SES console (Account dashboard), or: aws sesv2 put-account-details …',
    );
  }
  if (EnforcementStatus === 'PROBATION') {
    return warning(
      'SES has put it under review; it may be paused.',
      'The SES console says why, and how to answer.',
    );
  }
  const quota = SendQuota?.Max24HourSend;
  const limit =
    quota === undefined
      ? ''
      : quota < 0
        ? ', without a daily limit'
        : `, up to ${counted(quota, 'email')} a day`;
  return ok(`The account is out of the sandbox${limit}.`);
}
