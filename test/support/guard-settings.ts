import { circuitLimits, massRefusalLimits } from '../../lambdas/domain/provider-guards.ts';
import type { GuardSettings } from '../../lambdas/postgres/watch-providers.ts';

/** With the limits of the product and windows of a scan each five minutes. */
export const guardSettings: GuardSettings = {
  circuit: circuitLimits,
  massRefusal: massRefusalLimits,
  circuitWindowSeconds: 300,
  circuitCooldownSeconds: 150,
  maxRetryAfterSeconds: 3_600,
  massRefusalWindowSeconds: 900,
  disconnectionHoldSeconds: 43_200,
  memorySeconds: 2_100,
};
