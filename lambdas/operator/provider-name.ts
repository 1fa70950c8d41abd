import { z } from '../schema.ts';
import { isProviderName } from '../secrets/provider-clients.ts';

/** `integrations.provider`, as far as it can be the end of a secret's name. */
export const providerName = z
  .string()
  .check(z.refine(isProviderName, { error: 'must be the name of a provider, such as "google"' }));
