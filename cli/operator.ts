import type { OperatorRequest } from '../lambdas/operator/reports.ts';
import type { Target } from './target.ts';

/** Asks the operator function. */
export function askOperator<Report>(target: Target, request: OperatorRequest): Promise<Report> {
  return target.invoke<Report>('OperatorFunction', request);
}
