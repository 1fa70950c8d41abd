import { DescribeRuleCommand } from '@aws-sdk/client-eventbridge';
import type { Target } from './target.ts';

/** The rule that invokes the scanner. */
export interface ScheduleRule {
  /** `ENABLED` or `DISABLED`. */
  readonly state: string;
  readonly expression: string;
  /** Minutes between scans; `null` for an expression of another kind than `rate(…)`. */
  readonly intervalMinutes: number | null;
}

const minutesPer: Readonly<Record<string, number>> = { minute: 1, hour: 60, day: 1440 };

/** Reads the rule. Throws what the SDK throws, and `CliError` when the stack names none. */
export async function readScheduleRule(target: Target): Promise<ScheduleRule> {
  const { State, ScheduleExpression: expression = '' } = await target.events.send(
    new DescribeRuleCommand({ Name: target.output('ScheduleRule') }),
  );
  const [, number, unit] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression) ?? [];
  const intervalMinutes = unit === undefined ? null : Number(number) * minutesPer[unit]!;
  return { state: String(State), expression, intervalMinutes };
}
