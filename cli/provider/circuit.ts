import type {
  ChangeCircuitReport,
  ProviderGuards,
  ProviderStatus,
  StatusReport,
} from '../../lambdas/operator/reports.ts';
import { findInCatalogue } from '../../lambdas/providers/catalogue.ts';
import type { CommandContext, ExitCode } from '../command.ts';
import { askOperator } from '../operator.ts';
import { didYouMean } from '../suggest.ts';
import type { Target } from '../target.ts';
import { counted, moment } from '../words.ts';
import { circuitText, heldText } from './guard-lines.ts';
import { catalogueNames, readProviderName } from './names.ts';

/** `evergrant provider open`. */
export async function openCircuit(context: CommandContext): Promise<ExitCode> {
  const { output } = context;
  const { stack, provider, report, standing, guards } = await lookAt(context);
  if (guards.circuit?.cause === 'by_hand') {
    return unchanged(
      context,
      provider,
      `${provider}: ${circuitText(guards.circuit, report.now)} already.`,
      guards,
    );
  }
  const waits =
    standing === null || standing.connected === 0
      ? ''
      : ` Its ${counted(standing.connected, 'connected integration')} would wait, and their tokens expire.`;
  const question = `${unknownText(provider, report)}Stop calling ${nameOf(provider)} until evergrant provider close ${provider}?${waits}`;
  if (!(await agreed(context, provider, report, question))) return 1;
  output.progress('opening the circuit');
  const { before, after } = await change(stack, 'open_circuit', provider);
  output.document({ provider, changed: true, before, after });
  output.line(`Before: ${guardsText(before, report.now)}`);
  output.line(`Now:    nobody calls ${nameOf(provider)}.`);
  output.line();
  output.line(
    'Its integrations wait: their failures count for nothing, and no user is told of any. Refreshes',
  );
  output.line(`that are under way come to their end. To go on:  evergrant provider close ${provider}`);
  return 0;
}

/** `evergrant provider close`. */
export async function closeCircuit(context: CommandContext): Promise<ExitCode> {
  const { output } = context;
  const { stack, provider, report, standing, guards } = await lookAt(context);
  if (guards.circuit === null && guards.disconnectionsHeld === null) {
    return unchanged(
      context,
      provider,
      `${unknownText(provider, report)}Its circuit is closed, and none of its disconnections is held.`,
      guards,
    );
  }
  const holding = [
    guards.circuit === null ? null : circuitText(guards.circuit, report.now),
    guards.disconnectionsHeld === null ? null : heldText(guards.disconnectionsHeld, report.now),
  ].filter((text) => text !== null);
  output.notice(`${provider}: ${holding.join('; ')}.`);
  const question =
    guards.circuit === null
      ? `Let the disconnections of ${nameOf(provider)} happen?`
      : `Call ${nameOf(provider)} again?`;
  if (!(await agreed(context, provider, report, question))) return 1;
  output.progress('closing the circuit');
  const { before, after } = await change(stack, 'close_circuit', provider);
  output.document({ provider, changed: true, before, after });
  output.line(`Before: ${guardsText(before, report.now)}`);
  const now =
    before.circuit === null ? 'its disconnections happen again' : `${nameOf(provider)} is called again`;
  const until =
    after.trustedUntil === null ? '' : `; neither guard acts before ${moment(after.trustedUntil)}`;
  output.line(`Now:    ${now}${until}.`);
  output.line();
  const due =
    standing === null
      ? ''
      : `: ${counted(standing.due, 'integration')} ${standing.due === 1 ? 'is' : 'are'} due`;
  output.line(`The next scan refreshes what is due${due}. At once:  evergrant scan --provider ${provider}`);
  if (before.disconnectionsHeld !== null) {
    output.line('Who is refused again from now on is disconnected and told, by the usual thresholds.');
  }
  return 0;
}

interface Look {
  readonly stack: Target;
  readonly provider: string;
  readonly report: StatusReport;
  /** `null`: no integration of it is known. */
  readonly standing: ProviderStatus | null;
  readonly guards: Pick<ProviderGuards, 'circuit' | 'disconnectionsHeld'>;
}

async function lookAt({ arguments: [argument], target, output }: CommandContext): Promise<Look> {
  const provider = readProviderName(argument);
  const stack = await target();
  output.progress('asking the operator function how it stands');
  const report = await askOperator<StatusReport>(stack, { ask: 'status' });
  const of = (each: { readonly provider: string }) => each.provider === provider;
  return {
    stack,
    provider,
    report,
    standing: report.providers.find(of) ?? null,
    guards: {
      circuit: report.circuits.find(of) ?? null,
      disconnectionsHeld: report.disconnectionsHeld.find(of) ?? null,
    },
  };
}

function change(
  stack: Target,
  ask: 'open_circuit' | 'close_circuit',
  provider: string,
): Promise<ChangeCircuitReport> {
  return askOperator<ChangeCircuitReport>(stack, { ask, provider });
}

/** Nothing keeps anybody from a provider that there is no integration of yet; but a name may be mistyped. */
function unknownText(provider: string, report: StatusReport): string {
  const known = [
    ...report.providers.map((each) => each.provider),
    ...report.circuits.map((each) => each.provider),
    ...report.disconnectionsHeld.map((each) => each.provider),
    ...catalogueNames(),
  ];
  if (known.includes(provider)) return '';
  return `There is no integration of ${provider}, and the catalogue does not know it.${didYouMean(provider, known)} `;
}

async function agreed(
  { options, output }: CommandContext,
  provider: string,
  report: StatusReport,
  question: string,
): Promise<boolean> {
  if (options.yes === true) {
    const unknown = unknownText(provider, report);
    if (unknown !== '') output.notice(unknown.trim());
    return true;
  }
  if (await output.confirm(question)) return true;
  output.document({ error: { code: 'declined', message: 'Nothing was changed.' } });
  output.line('Nothing was changed.');
  return false;
}

function unchanged(
  { output }: CommandContext,
  provider: string,
  why: string,
  guards: Look['guards'],
): ExitCode {
  output.document({ provider, changed: false, before: guards, after: guards });
  output.line(`${why} Nothing was changed.`);
  return 0;
}

function guardsText({ circuit, disconnectionsHeld }: Look['guards'], now: string): string {
  const texts = [
    circuit === null ? null : circuitText(circuit, now),
    disconnectionsHeld === null ? null : heldText(disconnectionsHeld, now),
  ].filter((text) => text !== null);
  return texts.length === 0 ? 'its circuit was closed.' : `${texts.join('; ')}.`;
}

function nameOf(provider: string): string {
  const displayName = findInCatalogue(provider)?.description.displayName;
  return displayName === undefined || displayName.toLowerCase() === provider
    ? provider
    : `${displayName} (${provider})`;
}
