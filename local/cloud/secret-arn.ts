import { createHash } from 'node:crypto';
import { ACCOUNT_ID, REGION } from './intrinsics.ts';

/**
 * The ARN of a secret: its name plus the six characters that Secrets Manager adds, here derived from the name, so that
 * an ARN stays valid over restarts.
 */
export function secretArn(name: string): string {
  const suffix = createHash('sha256').update(name).digest('hex').slice(0, 6);
  return `arn:aws:secretsmanager:${REGION}:${ACCOUNT_ID}:secret:${name}-${suffix}`;
}
