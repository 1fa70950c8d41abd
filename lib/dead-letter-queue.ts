import { Duration } from 'aws-cdk-lib';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';

export interface QueueWithDeadLettersProps {
  readonly visibilitySeconds: number;
  /** How long a message is worth anything. */
  readonly retention: Duration;
}

/** Receives before a message goes to the dead-letter queue. AWS advises five or more with a Lambda consumer. */
export const maxReceiveCount = 5;

/** A queue and, behind it, the queue for what our own code or infrastructure failed on. */
export class QueueWithDeadLetters extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: QueueWithDeadLettersProps) {
    super(scope, id);
    // SQS counts the age of a dead letter from its first sending, so it gets the longest retention there is.
    this.deadLetters = new Queue(this, 'DeadLetters', {
      retentionPeriod: Duration.days(14),
      enforceSSL: true,
    });
    acknowledge(this.deadLetters, {
      'Serverless-SQSRedrivePolicy': 'This is the dead-letter queue; its messages wait for an operator.',
    });
    this.queue = new Queue(this, 'Queue', {
      visibilityTimeout: Duration.seconds(props.visibilitySeconds),
      retentionPeriod: props.retention,
      enforceSSL: true,
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount },
    });
  }
}
