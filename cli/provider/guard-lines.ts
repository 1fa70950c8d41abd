import type { HeldDisconnections, OpenCircuit } from '../../lambdas/operator/reports.ts';
import type { Output } from '../output.ts';
import { counted, duration, relative } from '../words.ts';

/** What holds integrations back, for people: a line for what it is, and below it what comes next. */
export function guardLines(
  {
    circuits,
    disconnectionsHeld,
  }: {
    readonly circuits: readonly OpenCircuit[];
    readonly disconnectionsHeld: readonly HeldDisconnections[];
  },
  now: string,
  style: Output['style'],
): string[] {
  return [
    ...circuits.flatMap((circuit) => [
      style('yellow', `${circuit.provider}: ${circuitText(circuit, now)}.`),
      `    ${afterCircuit(circuit, now)}`,
    ]),
    ...disconnectionsHeld.flatMap((held) => [
      style('yellow', `${held.provider}: ${heldText(held, now)}.`),
      ...afterHold(held).map((line) => `    ${line}`),
    ]),
  ];
}

/** Why a provider is not called. Part of a sentence. */
export function circuitText({ cause, code, failing, openedAt }: OpenCircuit, now: string): string {
  const open = `circuit open${lasting(openedAt, now)}`;
  if (cause === 'by_hand') return `${open}, by hand`;
  const what = cause === 'client_refused' ? 'the provider refuses our client' : 'an outage';
  const most = code === null ? '' : `, most with ${code}`;
  return `${open}: ${what}; ${counted(failing ?? 0, 'integration')} failed${most}`;
}

function afterCircuit({ provider, cause, nextTryAt, meaning }: OpenCircuit, now: string): string {
  const close = `evergrant provider close ${provider}`;
  if (cause === 'by_hand' || nextTryAt === null) return `Nobody calls it until somebody closes it: ${close}`;
  const when = nextTryAt <= now ? 'with the next scan' : relative(nextTryAt, now);
  const tries = `A few integrations try again ${when}; when they get through, all others follow by themselves.`;
  return cause === 'client_refused' && meaning !== null
    ? `${meaning} evergrant provider check ${provider} tells more. ${tries}`
    : tries;
}

/** That nobody is disconnected. Part of a sentence. */
export function heldText({ since, until, refused }: HeldDisconnections, now: string): string {
  return `disconnections held${lasting(since, now)}, as ${counted(refused ?? 0, 'grant')} were refused within minutes; they go on ${relative(until, now)}`;
}

function afterHold({ provider }: HeldDisconnections): string[] {
  return [
    `Look whether the provider or our client is at fault: evergrant provider check ${provider}`,
    `If these grants are really gone, let their users be told: evergrant provider close ${provider}`,
  ];
}

function lasting(since: string | null, now: string): string {
  return since === null ? '' : ` for ${duration(Date.parse(now) - Date.parse(since))}`;
}
