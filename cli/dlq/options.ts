import { type CommandContext, UsageError } from '../command.ts';
import { type QueueName, queueNames } from './dead-letter.ts';

type Options = CommandContext['options'];

/** Throws `UsageError` for another queue. */
export function queueOption(options: Options): QueueName | null {
  const { queue } = options;
  if (queue === undefined) return null;
  if (queueNames.includes(queue as QueueName)) return queue as QueueName;
  throw new UsageError(`--queue is "refresh", "threshold" or "sealed", not "${String(queue)}".`);
}

/** Throws `UsageError` without a queue: what changes something says where. */
export function requiredQueue(options: Options): QueueName {
  const queue = queueOption(options);
  if (queue === null)
    throw new UsageError('Name the queue: --queue refresh, --queue threshold or --queue sealed.');
  return queue;
}

/** Text that is not empty. */
export function textOption(options: Options, name: string): string | null {
  const value = options[name];
  if (value === undefined) return null;
  if (typeof value !== 'string' || value.trim() === '') throw new UsageError(`--${name} is empty.`);
  return value;
}

export function wholeNumberOption(
  options: Options,
  name: string,
  lowest: number,
  highest: number,
): number | null {
  const value = textOption(options, name);
  if (value === null) return null;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= lowest && number <= highest) return number;
  throw new UsageError(`--${name} is a whole number from ${lowest} to ${highest}, not "${value}".`);
}

/** Throws `UsageError` when an option is given beside one that leaves it no meaning. */
export function refuseBeside(options: Options, name: string, others: readonly string[]): void {
  if (options[name] === undefined) return;
  const wrong = others.find((other) => options[other] !== undefined);
  if (wrong !== undefined) throw new UsageError(`--${name} goes with --${wrong} in no way: leave one out.`);
}
