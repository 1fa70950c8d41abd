import { CliError } from './command.ts';
import { ConnectedTarget } from './connected-target.ts';
import type { Target } from './target.ts';

/** What CloudFormation knows of a stack. */
export interface StackDescription {
  /** Such as `UPDATE_COMPLETE`. */
  readonly status: string;
  /** Why it has that status; mostly absent. */
  readonly reason: string | undefined;
  readonly outputs: Readonly<Record<string, string>>;
}

/** Reads a deployed stack. Throws `CliError` when there is none of that name, and what the SDK throws. */
export async function describeStack(stackName: string): Promise<StackDescription> {
  // The largest of the clients, and only needed here.
  const { CloudFormationClient, DescribeStacksCommand } = await import('@aws-sdk/client-cloudformation');
  const client = new CloudFormationClient();
  const { Stacks: [stack] = [] } = await client
    .send(new DescribeStacksCommand({ StackName: stackName }))
    .catch(async (error: Error) => {
      if (error.name !== 'ValidationError' || !/does not exist/.test(error.message)) throw error;
      throw new CliError(
        'stack_not_found',
        `There is no stack ${stackName} in ${await client.config.region()} of this AWS account. Deploy it (npx cdk deploy), or name another with --stack NAME or EVERGRANT_STACK; another region with AWS_REGION. What npm start runs is --local.`,
        { cause: error },
      );
    });
  return {
    status: String(stack?.StackStatus),
    reason: stack?.StackStatusReason,
    outputs: Object.fromEntries(
      (stack?.Outputs ?? []).map(({ OutputKey, OutputValue }) => [String(OutputKey), String(OutputValue)]),
    ),
  };
}

/** A deployed stack, with region and credentials from the usual AWS configuration. */
export async function openStackTarget(stackName: string): Promise<Target> {
  return new ConnectedTarget(stackName, (await describeStack(stackName)).outputs);
}
