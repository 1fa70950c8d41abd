import { Duration } from 'aws-cdk-lib';
import { Trigger } from 'aws-cdk-lib/triggers';
import { Construct } from 'constructs';
import { StageFunction } from './function.ts';
import { bundledMigrations } from './migrations.ts';
import type { StageProps } from './stage.ts';

/** Brings the database to this version's schema on each deployment that changes it, before what needs it. */
export class Migrator extends Construct {
  readonly function: StageFunction;
  readonly #trigger: Trigger;

  constructor(
    scope: Construct,
    id: string,
    props: Omit<StageProps, 'secrets' | 'refreshQueue' | 'thresholdQueue' | 'sealedResultQueue'>,
  ) {
    super(scope, id);
    this.function = new StageFunction(this, 'Function', {
      stage: 'migrator',
      description: 'Evergrant: runs the database migrations',
      memoryMb: 256,
      timeoutSeconds: props.timing.migratorTimeout,
      logRetentionDays: props.settings.logRetentionDays,
      database: props.database,
      environment: {},
      // A new migration is a new version, which is what the trigger waits for.
      commandHooks: bundledMigrations,
    });
    this.#trigger = new Trigger(this, 'OnDeploy', {
      handler: this.function,
      timeout: Duration.seconds(props.timing.migratorTimeout),
    });
  }

  /** Nothing in `scopes` is created or changed before the schema is there. */
  runsBefore(...scopes: Construct[]): void {
    this.#trigger.executeBefore(...scopes);
  }
}
