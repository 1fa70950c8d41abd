import { sentencesOf } from '../domain/failure-codes.ts';
import { trustedSeconds } from '../domain/provider-guards.ts';
import { closeCircuit } from '../postgres/close-circuit.ts';
import type { Database } from '../postgres/database.ts';
import { openCircuit } from '../postgres/open-circuit.ts';
import type { ProviderState } from '../postgres/provider-state.ts';
import { readClock } from '../postgres/read-clock.ts';
import { readProviderStates } from '../postgres/read-provider-states.ts';
import { relationExists } from '../postgres/relation-exists.ts';
import { z } from '../schema.ts';
import { moment } from './moment.ts';
import { providerName } from './provider-name.ts';
import type { ChangeCircuitReport, HeldDisconnections, OpenCircuit, ProviderGuards } from './reports.ts';

export const openCircuitRequest = z.strictObject({ ask: z.literal('open_circuit'), provider: providerName });
export const closeCircuitRequest = z.strictObject({
  ask: z.literal('close_circuit'),
  provider: providerName,
});

/** What holds integrations back, of every provider that something is remembered of. */
export async function readGuards(
  database: Database,
): Promise<readonly (ProviderGuards & { readonly provider: string })[]> {
  // A database that is some migrations behind has no guards.
  if (!(await relationExists(database, 'evergrant.provider_states'))) return [];
  return (await readProviderStates(database)).map((state) => ({
    provider: state.provider,
    ...guardsOf(state),
  }));
}

/** Opens or closes a provider's circuit, as an operator says. */
export async function changeCircuit(
  database: Database,
  { ask, provider }: { readonly ask: 'open_circuit' | 'close_circuit'; readonly provider: string },
): Promise<ChangeCircuitReport> {
  const { before, after } =
    ask === 'open_circuit'
      ? await openCircuit(database, { provider })
      : await closeCircuit(database, { provider, trustedSeconds });
  return {
    now: (await readClock(database)).toISOString(),
    provider,
    before: before === null ? nothing : guardsOf(before),
    after: guardsOf(after),
  };
}

const nothing: ProviderGuards = { circuit: null, disconnectionsHeld: null, trustedUntil: null };

function guardsOf(state: ProviderState): ProviderGuards {
  return {
    circuit: circuitOf(state),
    disconnectionsHeld: heldOf(state),
    trustedUntil: moment(state.trusted_until),
  };
}

function circuitOf(state: ProviderState): OpenCircuit | null {
  if (!state.circuit_open) return null;
  const cause = state.circuit_cause ?? 'outage';
  const code = state.circuit_code;
  return {
    provider: state.provider,
    cause,
    code,
    meaning:
      code === null
        ? null
        : sentencesOf(code, cause === 'client_refused' ? 'operator' : 'transient').operator,
    failing: state.circuit_failing,
    openedAt: moment(state.circuit_opened_at),
    nextTryAt: moment(state.circuit_probe_at),
  };
}

function heldOf(state: ProviderState): HeldDisconnections | null {
  if (!state.disconnections_held) return null;
  return {
    provider: state.provider,
    since: moment(state.disconnections_held_since),
    until: moment(state.disconnections_held_until),
    refused: state.disconnections_failing,
  };
}
