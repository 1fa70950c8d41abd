/** Why nobody calls a provider: it fails across many integrations, it refuses our client, or an operator says so. */
export type CircuitCause = 'outage' | 'client_refused' | 'by_hand';

/** What is remembered of one provider as a whole. */
export interface ProviderState {
  readonly provider: string;
  readonly circuit_open: boolean;
  /** This and the five below: `null` while the circuit is closed. */
  readonly circuit_cause: CircuitCause | null;
  /** The failure that most integrations met. */
  readonly circuit_code: string | null;
  /** How many integrations failed when the circuit opened. */
  readonly circuit_failing: number | null;
  readonly circuit_opened_at: Date | null;
  readonly circuit_open_seconds: number | null;
  /** From then on a few integrations may try; `Infinity`: it stays open until it is closed by hand. */
  readonly circuit_probe_at: Date | number | null;
  /** That moment has come. */
  readonly circuit_may_probe: boolean;
  /** Disconnections wait, as implausibly many grants were refused. This and the three below: not once it has passed. */
  readonly disconnections_held: boolean;
  readonly disconnections_held_since: Date | null;
  readonly disconnections_held_until: Date | null;
  /** How many grants had been refused when the hold began. */
  readonly disconnections_failing: number | null;
  /** Neither guard acts before; `null`: both do. */
  readonly trusted_until: Date | null;
  /** What the functions keep to; `null`: no limit, or none that anybody kept to within a day. */
  readonly calls_per_second: number | null;
}

/** The columns of a `ProviderState`, of a row of `evergrant.provider_states`. */
export const providerStateColumns = `provider, circuit_open,
  CASE WHEN circuit_open THEN circuit_cause END AS circuit_cause,
  CASE WHEN circuit_open THEN circuit_code END AS circuit_code,
  CASE WHEN circuit_open THEN circuit_failing END AS circuit_failing,
  CASE WHEN circuit_open THEN circuit_opened_at END AS circuit_opened_at,
  CASE WHEN circuit_open THEN extract(epoch FROM now() - circuit_opened_at)::float8 END AS circuit_open_seconds,
  CASE WHEN circuit_open THEN circuit_probe_at END AS circuit_probe_at,
  coalesce(circuit_open AND circuit_probe_at <= now(), false) AS circuit_may_probe,
  coalesce(disconnections_held_until > now(), false) AS disconnections_held,
  CASE WHEN disconnections_held_until > now() THEN disconnections_held_since END AS disconnections_held_since,
  CASE WHEN disconnections_held_until > now() THEN disconnections_held_until END AS disconnections_held_until,
  CASE WHEN disconnections_held_until > now() THEN disconnections_failing END AS disconnections_failing,
  CASE WHEN trusted_until > now() THEN trusted_until END AS trusted_until,
  CASE WHEN next_call_at > now() - interval '1 day' THEN calls_per_second END AS calls_per_second`;

/** A provider's state around a change of it. */
export interface ChangedState {
  /** `null`: nothing was remembered of it. */
  readonly before: ProviderState | null;
  readonly after: ProviderState;
}

/** Reads the two rows of a statement that changes a state: as it was when asked, and as it is now. */
export function changedState(
  rows: readonly (ProviderState & { readonly moment: 'before' | 'after' })[],
): ChangedState {
  const at = (wanted: 'before' | 'after'): ProviderState | null => {
    const row = rows.find(({ moment }) => moment === wanted);
    if (row === undefined) return null;
    const { moment: _, ...state } = row;
    return state;
  };
  return { before: at('before'), after: at('after') as ProviderState };
}
