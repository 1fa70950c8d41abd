import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/**
 * Acknowledges findings of the checks that run at synth (cdk-nag and CloudFormation's own rules): what they find in
 * `construct` and below is meant so. Reasons by the id that the finding is printed with, less the name of the pack.
 */
export function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  for (const [id, reason] of Object.entries(reasons)) Validations.of(construct).acknowledge({ id, reason });
}
