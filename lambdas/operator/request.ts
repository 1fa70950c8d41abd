import { problemsOf, z } from '../schema.ts';
import { checkProviderRequest } from './check-provider.ts';
import { closeCircuitRequest, openCircuitRequest } from './provider-guards.ts';
import type { OperatorRequest } from './reports.ts';
import { findIntegrationRequest, storeGrantRequest } from './store-grant.ts';

/** The operator function is asked something that it does not know. The message names every field at fault. */
export class OperatorRequestInvalid extends Error {
  override readonly name = 'OperatorRequestInvalid';
  readonly code = 'operator_request_invalid';
}

const request = z.discriminatedUnion(
  'ask',
  [
    z.strictObject({ ask: z.literal('status') }),
    z.strictObject({
      ask: z.literal('history'),
      integrationId: z.guid({ error: 'must be the id (a UUID) of an integration' }),
    }),
    z.strictObject({ ask: z.literal('verify') }),
    z.strictObject({ ask: z.literal('keys') }),
    findIntegrationRequest,
    storeGrantRequest,
    checkProviderRequest,
    openCircuitRequest,
    closeCircuitRequest,
  ],
  {
    error:
      'must be "status", "history", "verify", "keys", "find_integration", "store_grant", "check_provider", "open_circuit" or "close_circuit"',
  },
);

/** Reads the event that invoked the function. Throws `OperatorRequestInvalid`. */
export function parseOperatorRequest(event: unknown): OperatorRequest {
  const parsed = request.safeParse(event);
  if (parsed.success) return parsed.data;
  throw new OperatorRequestInvalid(
    `${problemsOf(parsed.error, 'the event')}. The operator function takes {"ask"}, for "history" and "find_integration" with {"integrationId"}, for "open_circuit" and "close_circuit" with {"provider"}, for "check_provider" with {"provider", "variables"}, for "store_grant" what the command line sends.`,
  );
}
