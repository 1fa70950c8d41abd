import { UsageError } from './command.ts';
import { openLocalTarget } from './local-target.ts';
import { openStackTarget } from './stack-target.ts';
import type { Target } from './target.ts';

/** Finds the stack that the options, or else EVERGRANT_STACK, name. Throws `UsageError` or `CliError`. */
export async function openTarget(
  options: Readonly<Record<string, string | boolean | undefined>>,
): Promise<Target> {
  const { stack, local, directory } = options as { stack?: string; local?: boolean; directory?: string };
  if (stack !== undefined && local) {
    throw new UsageError('Give --stack for a deployed stack or --local for this machine, not both.');
  }
  if (directory !== undefined && !local) throw new UsageError('--directory goes with --local.');
  if (local) return openLocalTarget(directory);
  return openStackTarget(stack ?? (process.env.EVERGRANT_STACK || 'evergrant-prod'));
}
