import type { CheckProviderReport } from '../../lambdas/operator/reports.ts';
import type { CommandContext, ExitCode } from '../command.ts';
import { askOperator } from '../operator.ts';
import { didYouMean } from '../suggest.ts';
import { renderChecks } from '../verify/render.ts';
import { catalogueNames, readProviderName, readVariables } from './names.ts';

export async function checkProvider({
  options,
  arguments: [argument],
  target,
  output,
}: CommandContext): Promise<ExitCode> {
  const provider = readProviderName(argument);
  const variables = readVariables(options.variable);
  const stack = await target();
  output.progress('asking the operator function, which asks the provider');
  const report = await askOperator<CheckProviderReport>(stack, {
    ask: 'check_provider',
    provider,
    variables,
  });
  const checks = report.checks.map((check) =>
    check.code === 'provider_known' && check.state === 'failed'
      ? { ...check, found: check.found + didYouMean(provider, catalogueNames()) }
      : check,
  );
  const well = checks.every(({ state }) => state !== 'failed');
  output.document({ well, ...report, checks });
  const { displayName } = report;
  output.line(output.style('bold', displayName === null ? provider : `${displayName} (${provider})`));
  for (const line of renderChecks(checks, output.style)) output.line(line);
  return well ? 0 : 3;
}
