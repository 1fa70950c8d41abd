import type { Database } from './database.ts';
import { type ProviderState, providerStateColumns } from './provider-state.ts';

/** All that is remembered of providers, by the database's clock: a row for each that something happened to. */
const statement = `
SELECT ${providerStateColumns}
FROM evergrant.provider_states
ORDER BY provider`;

export function readProviderStates(database: Database): Promise<ProviderState[]> {
  return database.query<ProviderState>(statement, []);
}
