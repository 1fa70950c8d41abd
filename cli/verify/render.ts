import type { Check } from '../../lambdas/operator/reports.ts';
import type { Output } from '../output.ts';
import { listed } from '../words.ts';

const marks = {
  ok: ['✓', 'green'],
  warning: ['!', 'yellow'],
  failed: ['✗', 'red'],
  not_checked: ['-', 'dim'],
} as const;

/** What `verify` prints for people: a line for each check, the fix below it, and a sentence at the end. */
export function renderChecks(checks: readonly Check[], style: Output['style']): string[] {
  const lines = checks.flatMap(({ state, title, found, fix }) => {
    const [mark, format] = marks[state];
    return [`${style(format, mark)} ${title}: ${found}`, ...(fix === null ? [] : [`    ${fix}`])];
  });
  return [...lines, '', summary(checks, style)];
}

function summary(checks: readonly Check[], style: Output['style']): string {
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length;
  const failed = count('failed');
  const rest = [
    count('warning') > 0 ? `${count('warning')} to think about` : '',
    count('not_checked') > 0 ? `${count('not_checked')} not checked` : '',
  ].filter((part) => part !== '');
  const others = rest.length === 0 ? '' : `; ${listed(rest)}`;
  return failed === 0
    ? style('green', `${count('ok')} of ${checks.length} checks are well${others}.`)
    : style('red', `${failed} of ${checks.length} checks failed${others}.`);
}
