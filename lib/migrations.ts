import { join } from 'node:path';
import type { ICommandHooks } from 'aws-cdk-lib/aws-lambda-nodejs';
import { migrationsFolder } from '../lambdas/contract.ts';

const sources = join(import.meta.dirname, '..', 'migrations');

/** Puts the migrations into a function's bundle, so that a new migration is a new version of the function. */
export const bundledMigrations: ICommandHooks = {
  beforeBundling: () => [],
  beforeInstall: () => [],
  afterBundling: (_, outputDir) => [`cp -R "${sources}" "${join(outputDir, migrationsFolder)}"`],
};
