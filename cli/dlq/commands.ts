import type { Command } from '../command.ts';
import { discardCommand } from './discard.ts';
import { listCommand } from './list.ts';
import { replayCommand } from './replay.ts';
import { machine } from './runtime.ts';
import { showCommand } from './show.ts';

/** The commands for what our own code or infrastructure failed on. */
export const dlqCommands: readonly Command[] = [listCommand, showCommand, replayCommand, discardCommand].map(
  (command) => command(machine),
);
