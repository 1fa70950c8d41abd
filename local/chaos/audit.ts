import type { ChaosDatabase } from './database.ts';

/** A committed change of an integration's counters, status, or, by its user, grant. */
export interface Change {
  readonly atMs: number;
  readonly integrationId: string;
  /** `early`: a passing failure of a short-lived token that is tried again before its end, and counts for nothing. */
  readonly kind: 'failure' | 'early' | 'success' | 'reconnect' | 'other';
  readonly permanent: number;
  readonly transient: number;
  readonly status: string;
  /** The provider's disconnections were held. */
  readonly held: boolean;
}

/** A provider's circuit, from then on. */
export interface CircuitChange {
  readonly atMs: number;
  readonly provider: string;
  readonly open: boolean;
}

/**
 * Has Postgres itself write down what is committed, in the transaction that commits it: no process that is killed, and no
 * answer that is lost, takes anything away from that. Time that is made to pass moves none of it.
 */
export async function startAudit(
  database: ChaosDatabase,
  { shortLifetimeSeconds }: { readonly shortLifetimeSeconds: number },
): Promise<void> {
  await database.sql(`
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.changes (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at_ms float8 NOT NULL, integration_id uuid NOT NULL,
      kind text NOT NULL, permanent int NOT NULL, transient int NOT NULL, status text NOT NULL, held boolean NOT NULL);
    CREATE TABLE chaos.circuits (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at_ms float8 NOT NULL, provider text NOT NULL, open boolean NOT NULL);
    CREATE FUNCTION chaos.now_ms() RETURNS float8 LANGUAGE sql AS 'SELECT extract(epoch FROM clock_timestamp()) * 1000';
    CREATE FUNCTION chaos.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO chaos.changes (at_ms, integration_id, kind, permanent, transient, status, held)
      VALUES (chaos.now_ms(), NEW.id,
        CASE WHEN NEW.last_failure_at IS DISTINCT FROM OLD.last_failure_at AND NEW.status = 'connected'
                  AND NEW.consecutive_failures IS NOT DISTINCT FROM OLD.consecutive_failures
                  AND NEW.consecutive_transient_failures IS NOT DISTINCT FROM OLD.consecutive_transient_failures
                  AND NEW.expires_at > now() AND NEW.refresh_held_until < now() + 1.125 * (NEW.expires_at - now())
                  AND NEW.expires_at < NEW.last_refresh_success + interval '${Number(shortLifetimeSeconds)} seconds'
             THEN 'early'
             WHEN NEW.last_failure_at IS DISTINCT FROM OLD.last_failure_at THEN 'failure'
             WHEN NEW.last_refresh_success IS DISTINCT FROM OLD.last_refresh_success THEN 'success'
             WHEN NEW.refresh_token IS DISTINCT FROM OLD.refresh_token THEN 'reconnect' ELSE 'other' END,
        coalesce(NEW.consecutive_failures, 0), coalesce(NEW.consecutive_transient_failures, 0), NEW.status,
        coalesce((SELECT disconnections_held_until > now() FROM evergrant.provider_states WHERE provider = NEW.provider), false));
      RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_change AFTER UPDATE ON integrations FOR EACH ROW
      WHEN (NEW.last_failure_at IS DISTINCT FROM OLD.last_failure_at OR NEW.status IS DISTINCT FROM OLD.status
        OR NEW.consecutive_failures IS DISTINCT FROM OLD.consecutive_failures
        OR NEW.consecutive_transient_failures IS DISTINCT FROM OLD.consecutive_transient_failures
        OR NEW.refresh_token IS DISTINCT FROM OLD.refresh_token
           AND NEW.last_refresh_success IS NOT DISTINCT FROM OLD.last_refresh_success)
      EXECUTE FUNCTION chaos.note_change();
    CREATE FUNCTION chaos.note_circuit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO chaos.circuits (at_ms, provider, open) VALUES (chaos.now_ms(), NEW.provider, NEW.circuit_open);
      RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_circuit AFTER INSERT OR UPDATE OF circuit_open ON evergrant.provider_states
      FOR EACH ROW EXECUTE FUNCTION chaos.note_circuit();`);
}

export async function readChanges(database: ChaosDatabase): Promise<Change[]> {
  return database.sql<Change>(
    `SELECT at_ms AS "atMs", integration_id AS "integrationId", kind, permanent, transient, status, held
     FROM chaos.changes ORDER BY number`,
  );
}

export async function readCircuits(database: ChaosDatabase): Promise<CircuitChange[]> {
  return database.sql<CircuitChange>(
    'SELECT at_ms AS "atMs", provider, open FROM chaos.circuits ORDER BY number',
  );
}

/** A protection that can be switched off, from outside. */
export type Protection = 'sealed-results' | 'fencing' | 'outbox';

/** What takes a protection away in the database. Sealed results are taken away at their queue. */
export async function switchOff(database: ChaosDatabase, protection: Protection): Promise<void> {
  if (protection === 'fencing') {
    await database.sql(`
      CREATE FUNCTION chaos.reopen() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        NEW.refresh_claim_open := true;
        NEW.refresh_held_until := NULL;
        RETURN NEW;
      END $$;
      CREATE TRIGGER chaos_reopen BEFORE UPDATE ON integrations FOR EACH ROW
        WHEN (OLD.refresh_claim_open AND NOT NEW.refresh_claim_open
          AND NEW.last_refresh_attempt IS DISTINCT FROM OLD.last_refresh_attempt)
        EXECUTE FUNCTION chaos.reopen();`);
  }
  if (protection === 'outbox') {
    await database.sql(`
      CREATE FUNCTION chaos.forget() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        NEW.relay_after := 'infinity';
        RETURN NEW;
      END $$;
      CREATE TRIGGER chaos_forget BEFORE INSERT ON evergrant.threshold_events FOR EACH ROW
        EXECUTE FUNCTION chaos.forget();`);
  }
}
