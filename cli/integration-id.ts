import { UsageError } from './command.ts';

/** The id of an integration, as a command was given it. Throws `UsageError`. */
export function readIntegrationId(argument: string | undefined): string {
  const id = argument?.toLowerCase() ?? '';
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return id;
  throw new UsageError(
    `${JSON.stringify(argument)} is no integration id. It is the id column of integrations, such as 0b64a2f8-41f7-4f0e-9c3e-0f1d4f5b6a7c.`,
  );
}
