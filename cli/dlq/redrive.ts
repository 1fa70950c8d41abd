import { CliError } from '../command.ts';
import type { DeadLetterQueue, MoveTask } from './dead-letter-queue.ts';
import { interrupted, pause, type Runtime } from './runtime.ts';

const pollIntervalMs = 1_000;

/** Polls until a task that was started shows in SQS's list. */
const unlistedPolls = 30;

export function isActive({ status }: MoveTask): boolean {
  return status === 'RUNNING' || status === 'CANCELLING';
}

/** `120 of about 400 moved` */
export function movedText({ moved, toMove }: MoveTask): string {
  return toMove === null ? `${moved} moved` : `${moved} of about ${toMove} moved`;
}

/** A redrive that was started, told from earlier ones by the moments of their starts. */
export interface Started {
  readonly handle: string;
  readonly earlier: readonly (Date | null)[];
}

/** Starts SQS's own redrive of the whole queue. Throws `CliError` when one is under way: SQS runs one for each queue. */
export async function startRedrive(queue: DeadLetterQueue, maxPerSecond: number | null): Promise<Started> {
  const earlier = await refuseWhileActive(queue);
  try {
    return {
      handle: await queue.startMoveTask(maxPerSecond),
      earlier: earlier.map(({ startedAt }) => startedAt),
    };
  } catch (error) {
    // Somebody else may have been quicker.
    if ((error as Error).name === 'UnsupportedOperation') await refuseWhileActive(queue);
    throw error;
  }
}

/** Throws `CliError` that tells of the redrive under way, if there is one. Returns those that are over. */
export async function refuseWhileActive(queue: DeadLetterQueue): Promise<MoveTask[]> {
  const tasks = await queue.moveTasks();
  const active = tasks.find(isActive);
  if (!active) return tasks;
  throw new CliError(
    'redrive_active',
    `A redrive of the ${queue.name} dead letters is under way${since(active)}: ${movedText(active)}. ${howToFollow(queue)}`,
  );
}

/**
 * Follows a redrive until it ends. Throws `CliError` when it failed or was cancelled, and after an interruption, which
 * leaves it running.
 */
export async function followRedrive(
  queue: DeadLetterQueue,
  { handle, earlier }: Started,
  runtime: Runtime,
  options: { readonly signal: AbortSignal; onProgress(task: MoveTask): void },
): Promise<MoveTask> {
  // SQS shows the handle only while the task runs; afterwards the moment of its start tells it from others.
  const isEarlier = (task: MoveTask) => earlier.some((moment) => isSame(moment, task.startedAt));
  let startedAt: Date | null = null;
  let task: MoveTask | null = null;
  for (let unlisted = 0; unlisted < unlistedPolls; ) {
    const tasks = await queue.moveTasks();
    const found =
      tasks.find((each) => each.handle === handle) ??
      tasks.find((each) => (startedAt === null ? !isEarlier(each) : isSame(startedAt, each.startedAt)));
    if (!found) unlisted += 1;
    else if (!isActive(found)) return ended(found);
    else {
      task = found;
      startedAt ??= found.startedAt;
      options.onProgress(found);
    }
    if (options.signal.aborted) {
      throw interrupted(
        `The redrive goes on in SQS${task ? `: ${movedText(task)}` : ''}. ${howToFollow(queue)}`,
      );
    }
    await pause(runtime, pollIntervalMs, options.signal);
  }
  throw new CliError(
    'redrive_unknown',
    `The redrive was started, and SQS does not list it any more. ${howToFollow(queue)}`,
  );
}

function ended(task: MoveTask): MoveTask {
  if (task.status === 'COMPLETED') return task;
  if (task.status === 'CANCELLED') {
    throw new CliError(
      'redrive_cancelled',
      `The redrive was cancelled: ${movedText(task)}. What was moved stays moved; run it again for the rest.`,
    );
  }
  throw new CliError(
    'redrive_failed',
    `The redrive failed: ${movedText(task)}${task.failureReason ? `, ${task.failureReason}` : ''}. What was not moved is still there: mend the cause and run it again.`,
  );
}

/** Cancels the redrive under way and waits for its end. `null`: none is. */
export async function cancelRedrive(
  queue: DeadLetterQueue,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<MoveTask | null> {
  const [running] = (await queue.moveTasks()).filter(isActive);
  if (!running) return null;
  if (running.handle !== null && running.status === 'RUNNING') {
    await queue.cancelMoveTask(running.handle).catch((error: Error) => {
      // It has just ended by itself.
      if (error.name !== 'ResourceNotFoundException') throw error;
    });
  }
  let task = running;
  while (isActive(task) && !signal.aborted) {
    const tasks = await queue.moveTasks();
    task = tasks.find(({ startedAt }) => isSame(startedAt, running.startedAt)) ?? task;
    if (isActive(task)) await pause(runtime, pollIntervalMs, signal);
  }
  return task;
}

function isSame(a: Date | null, b: Date | null): boolean {
  return a?.getTime() === b?.getTime();
}

function since({ startedAt }: MoveTask): string {
  return startedAt === null ? '' : ` since ${startedAt.toISOString()}`;
}

function howToFollow({ name }: DeadLetterQueue): string {
  return `\`evergrant dlq list --queue ${name}\` shows how far it is, \`evergrant dlq replay --queue ${name} --cancel\` ends it.`;
}
