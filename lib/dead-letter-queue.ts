import { Duration } from 'aws-cdk-lib';
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';

export interface QueueWithDeadLettersProps {
  readonly visibilitySeconds: number;
  /** How long a message is worth anything. */
  readonly retention: Duration;
  /** Receives before a message goes to the dead letters; AWS advises five or more with a Lambda consumer. */
  readonly maxReceiveCount?: number;
}

/** How a queue feeds a function. */
export interface FeedProps {
  readonly batchSize: number;
  readonly maxBatchingWindow?: Duration;
  /** Invocations at once. */
  readonly maxConcurrency: number;
}

/** Receives before a message goes to the dead-letter queue, unless its queue says otherwise. */
export const maxReceiveCount = 5;

/** SQS counts the age of a dead letter from its first sending, so this is the longest retention there is. */
export const deadLetterRetention = Duration.days(14);

/**
 * A queue and, behind it, the queue for what our own code or infrastructure failed on. Its grants allow what is done
 * and no more; the ready-made ones of CDK add what nobody here calls.
 */
export class QueueWithDeadLetters extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: QueueWithDeadLettersProps) {
    super(scope, id);
    this.deadLetters = new Queue(this, 'DeadLetters', {
      retentionPeriod: deadLetterRetention,
      enforceSSL: true,
    });
    acknowledge(this.deadLetters, {
      'Serverless-SQSRedrivePolicy': 'This is the dead-letter queue; its messages wait for an operator.',
    });
    this.queue = new Queue(this, 'Queue', {
      visibilityTimeout: Duration.seconds(props.visibilitySeconds),
      retentionPeriod: props.retention,
      enforceSSL: true,
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: props.maxReceiveCount ?? maxReceiveCount },
    });
  }

  /** Lets a function send, and tells it where. */
  grantSend(sender: LambdaFunction, urlVariable: string): void {
    this.#allow(sender, 'sqs:SendMessage');
    sender.addEnvironment(urlVariable, this.queue.queueUrl);
  }

  /** Lets a function make what it was fed visible again at once, and tells it where. */
  grantReturn(consumer: LambdaFunction, urlVariable: string): void {
    this.#allow(consumer, 'sqs:ChangeMessageVisibility');
    consumer.addEnvironment(urlVariable, this.queue.queueUrl);
  }

  /** Lets a function receive by itself, and tells it where. */
  grantReceive(consumer: LambdaFunction, urlVariable: string): void {
    this.#allow(consumer, 'sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility');
    consumer.addEnvironment(urlVariable, this.queue.queueUrl);
  }

  /** Feeds a function, which Lambda does with the function's own role. */
  feed(consumer: LambdaFunction, props: FeedProps): void {
    this.#allow(consumer, 'sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes');
    consumer.addEventSourceMapping('Messages', {
      eventSourceArn: this.queue.queueArn,
      reportBatchItemFailures: true,
      ...props,
    });
    acknowledge(consumer, {
      'Serverless-LambdaEventSourceMappingDestination':
        'A message that fails again and again goes to the queue’s dead-letter queue, which is where operators look.',
    });
  }

  #allow(grantee: LambdaFunction, ...actions: string[]): void {
    const resources = [this.queue.queueArn];
    grantee.addToRolePolicy(new PolicyStatement({ effect: Effect.ALLOW, actions, resources }));
  }
}
