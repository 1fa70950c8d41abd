import { Construct } from 'constructs';
import { operatorEnv } from '../lambdas/contract.ts';
import { StageFunction } from './function.ts';
import { bundledMigrations } from './migrations.ts';
import type { StageProps } from './stage.ts';

/**
 * The function that the operator's command line asks about the database. It waits for no migration: what it says is
 * wanted most when one has failed.
 */
export class Operator extends Construct {
  readonly function: StageFunction;

  constructor(
    scope: Construct,
    id: string,
    props: Omit<StageProps, 'refreshQueue' | 'thresholdQueue' | 'sealedResultQueue'>,
  ) {
    super(scope, id);
    const { settings, secrets, timing } = props;
    this.function = new StageFunction(this, 'Function', {
      stage: 'operator',
      description: 'Evergrant: answers the operator about integrations and the database',
      memoryMb: 256,
      timeoutSeconds: timing.operatorTimeout,
      logRetentionDays: settings.logRetentionDays,
      database: props.database,
      environment: {
        [operatorEnv.refreshWindowSeconds]: String(settings.refreshWindowSeconds),
        [operatorEnv.attemptHoldSeconds]: String(timing.attemptHold),
        [operatorEnv.scanIntervalSeconds]: String(settings.scanIntervalMinutes * 60),
        ...(settings.senderEmail && { [operatorEnv.senderEmail]: settings.senderEmail }),
      },
      // Their names tell which of them the database lacks.
      commandHooks: bundledMigrations,
    });
    secrets.grantTokenKey(this.function);
    secrets.grantProviders(this.function);
  }
}
