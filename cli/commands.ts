import type { Command } from './command.ts';
import { connectCommands } from './connect/commands.ts';
import { dlqCommands } from './dlq/commands.ts';
import { historyCommand } from './history/command.ts';
import { keyCommands } from './key/commands.ts';
import { migrateCommands } from './migrate/commands.ts';
import { providerCommands } from './provider/commands.ts';
import { refreshCommand } from './refresh/command.ts';
import { scanCommand } from './scan/command.ts';
import { statusCommand } from './status/command.ts';
import { verifyCommand } from './verify/command.ts';

/** Every command, in the order of the list that `--help` prints. */
export const commands: readonly Command[] = [
  statusCommand,
  historyCommand,
  verifyCommand,
  scanCommand,
  refreshCommand,
  ...connectCommands,
  ...providerCommands,
  ...migrateCommands,
  ...keyCommands,
  ...dlqCommands,
];
