import { randomUUID } from 'node:crypto';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';
import type { Json } from './json.ts';
import type { RuleSpec } from './stack.ts';

const UNIT_MS: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** The interval of `rate(n minutes|hours|days)` in milliseconds; null for any other expression. */
export function parseRateMs(expression: string): number | null {
  const match = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression);
  if (!match) return null;
  return Number(match[1]) * UNIT_MS[match[2] as string]!;
}

export interface ScheduleOptions {
  rules: RuleSpec[];
  /** Overrides the rules' own interval; null means that no rule ever fires by itself. */
  intervalMs?: number | null;
  /** Called per target and firing; like EventBridge, the schedule waits for no invocation. */
  fire: (rule: RuleSpec, functionId: string, event: Json) => void;
}

/** Runs the rules: each fires at once, then at its interval. */
export function startSchedule({ rules, intervalMs, fire }: ScheduleOptions): { stop(): void } {
  if (intervalMs === null) return { stop: () => {} };
  const timers = rules.map((rule) => {
    const tick = () => {
      for (const { functionId, input } of rule.targets)
        fire(rule, functionId, input ?? scheduledEvent(rule.arn));
    };
    tick();
    return setInterval(tick, intervalMs ?? rule.intervalMs);
  });
  return { stop: () => timers.forEach(clearInterval) };
}

/** The event that EventBridge sends for a schedule. */
function scheduledEvent(ruleArn: string): Json {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: ACCOUNT_ID,
    time: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    region: REGION,
    resources: [ruleArn],
    detail: {},
  };
}
