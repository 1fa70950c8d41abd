import type { Check, VerifyReport } from '../../lambdas/operator/reports.ts';
import type { Command } from '../command.ts';
import { askOperator } from '../operator.ts';
import type { Target } from '../target.ts';
import { checked } from './check.ts';
import { renderChecks } from './render.ts';

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'the deployment checklist, each line with its fix',
  help: `Looks at everything that a working deployment needs: the stack, the schedule, queues and event
sources, SES, and from inside the database with its schema and rights, the secrets, the last scan.
Below each line that is not well stands what to do. It changes nothing, and tells nobody.

Usage
  evergrant verify [--stack NAME | --local] [--json]

Examples
  evergrant verify                                        after every deployment
  evergrant verify --json | jq '.checks[] | select(.state == "failed")'

What the signs say
  ✓ well   ! works, but think about it   ✗ does not work   - not checked: AWS does not let you look

Exit codes
  0 no check failed   3 a check failed   1 nothing could be checked`,
  async run({ target, output }) {
    const stack = await target();
    output.progress('checking');
    const { looksAt } = await import('./aws-checks.ts');
    const [own, inside] = await Promise.all([
      Promise.all(looksAt(stack).map((look) => checked(look, stack.local))),
      checksOfOperator(stack),
    ]);
    const checks = [...own, ...inside];
    const well = checks.every(({ state }) => state !== 'failed');
    output.document({ well, checks });
    for (const line of renderChecks(checks, output.style)) output.line(line);
    return well ? 0 : 3;
  },
};

/** The operator function's own checks; a single one about itself when it does not answer. */
async function checksOfOperator(target: Target): Promise<readonly Check[]> {
  let checks: readonly Check[] = [];
  const itself = await checked(
    {
      code: 'operator_function',
      title: 'The operator function answers',
      permission: 'lambda:InvokeFunction',
      async look() {
        ({ checks } = await askOperator<VerifyReport>(target, { ask: 'verify' }));
        return { state: 'ok', found: 'It looks from inside, as follows.', fix: null };
      },
    },
    target.local,
  );
  return [itself, ...checks];
}
