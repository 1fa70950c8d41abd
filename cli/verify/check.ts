import type { Check } from '../../lambdas/operator/reports.ts';
import { explain, isAccessDenied } from '../failures.ts';

/** What a look at one thing found. */
export type Found = Pick<Check, 'state' | 'found' | 'fix'>;

export const ok = (found: string): Found => ({ state: 'ok', found, fix: null });
export const warning = (found: string, fix: string): Found => ({ state: 'warning', found, fix });
export const failed = (found: string, fix: string): Found => ({ state: 'failed', found, fix });

/** One thing to look at. */
export interface Look {
  /** Stable code, such as `schedule_rule`. */
  readonly code: string;
  readonly title: string;
  /** What AWS must allow the caller for it, such as `events:DescribeRule`. */
  readonly permission: string;
  look(): Promise<Found>;
}

/** Looks, and makes a check of what was found. A failure to look is a result as well; nothing is thrown. */
export async function checked({ code, title, permission, look }: Look, local: boolean): Promise<Check> {
  try {
    return { code, title, ...(await look()) };
  } catch (error) {
    if (isAccessDenied(error)) {
      return {
        code,
        title,
        state: 'not_checked',
        found: `AWS does not allow you ${permission}.`,
        fix: `Allow it, or let somebody run this who may.`,
      };
    }
    return { code, title, ...failed(explain(error, { local }).message, 'Mend that, and run this again.') };
  }
}
