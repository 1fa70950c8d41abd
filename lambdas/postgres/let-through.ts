import type { Database } from './database.ts';

/**
 * Makes one integration a probe of its provider's circuit, if that is open: somebody asked for it by its id and wants
 * to see what comes of it. Waits for a statement that changes the same provider's state, which takes milliseconds.
 */
const statement = `
UPDATE evergrant.provider_states s
SET circuit_probes = array_append(array_remove(s.circuit_probes, i.id), i.id)
FROM integrations i
WHERE i.id = $1 AND s.provider = i.provider AND s.circuit_open`;

export async function letThrough(database: Database, integrationId: string): Promise<void> {
  await database.query(statement, [integrationId]);
}
