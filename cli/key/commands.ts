import { randomBytes } from 'node:crypto';
import type { KeysReport } from '../../lambdas/operator/reports.ts';
import { CliError, type Command, type CommandContext } from '../command.ts';
import { askOperator } from '../operator.ts';
import { didYouMean } from '../suggest.ts';
import { table } from '../table.ts';
import { counted, duration } from '../words.ts';
import { type KeyUse, usesOf } from './key-use.ts';
import type { StoredTokenKeys } from './token-key-secret.ts';

/** Functions use a secret that they have read for five minutes; as long again for attempts that are under way. */
const takeUpMs = 10 * 60_000;

const status: Command = {
  name: 'key status',
  summary: 'the keys that seal tokens, and how many each seals',
  help: `Shows the ids of the keys in the token key secret, and how many stored tokens each seals. Keys are
never shown; a key id is its RFC 7638 thumbprint, the kid in the header of every sealed token.

Usage
  evergrant key status [--stack NAME | --local] [--json]

Examples
  evergrant key status
  evergrant key status --json | jq '.keys[] | select(.role == "previous" and .tokens == 0)'

Exit codes
  0 every token can be opened   3 the secret lacks a key that seals some   1 it cannot be found out`,
  async run({ target, output }) {
    const stack = await target();
    output.progress('counting the tokens of each key');
    const { readTokenKeys } = await import('./token-key-secret.ts');
    const [read, report] = await Promise.all([
      readTokenKeys(stack),
      askOperator<KeysReport>(stack, { ask: 'keys' }),
    ]);
    const uses = usesOf(read.keys, report);
    const well = uses.every(({ role }) => role !== 'unknown');
    output.document({ well, keys: uses, plain: report.plain });
    for (const line of renderKeys(uses, report.plain, forgettable(read))) output.line(line);
    return well ? 0 : 3;
  },
};

const rotate: Command = {
  name: 'key rotate',
  summary: 'a new key from now on; the old one opens what it sealed',
  help: `Makes a new random key the current one, and the present one a previous one. Each token is sealed
anew at its next refresh, so that after the lifetime of the tokens the old key seals none. Nobody
notices. A product that opens tokens itself has to find the key by its id, the kid in the header.
It stops if somebody else changes the secret at the same time.

Usage
  evergrant key rotate [--yes]

Examples
  evergrant key rotate
  evergrant key status                 later: how many tokens the old key still seals
  evergrant key forget <key-id>        when it seals none

Options
  --yes    do not ask

Exit codes
  0 rotated   1 not rotated; the message says why`,
  options: { yes: { type: 'boolean' } },
  async run(context) {
    const { target, output } = context;
    const stack = await target();
    const { readTokenKeys, replaceTokenKeys } = await import('./token-key-secret.ts');
    const { tokenKey } = await import('../../lambdas/sealing/token-keys.ts');
    output.progress('reading the token key secret');
    const read = await readTokenKeys(stack);
    const { current, previous } = read.keys;
    if (
      !(await agreed(
        context,
        `Rotate the token key of ${stack.stackName}? Its current key is ${current.id}.`,
      ))
    ) {
      return 1;
    }
    output.progress('putting a new key in force');
    const next = await tokenKey(randomBytes(32));
    await replaceTokenKeys(stack, read, {
      current: next,
      previous: [current, ...previous.filter(({ id }) => id !== current.id)],
    });
    output.document({ current: next.id, previous: [current.id, ...previous.map(({ id }) => id)] });
    output.line(`The current key is now  ${next.id}`);
    output.line(`A previous one is       ${current.id}`);
    output.line();
    output.line(
      'The functions take it up within five minutes, and seal each token anew at its next refresh. When',
    );
    output.line(`evergrant key status shows no tokens for the old key:  evergrant key forget ${current.id}`);
    return 0;
  },
};

const forget: Command = {
  name: 'key forget',
  summary: 'remove a previous key that seals nothing any more',
  help: `Removes a previous key from the token key secret. It is refused for the current key, while any
stored token is sealed with it, while sealed results wait for a scan or for a replay, and, for the
key that was current last, within ten minutes of the change: functions may still seal with it.

Usage
  evergrant key forget <key-id> [--yes]

Examples
  evergrant key status
  evergrant key forget NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs

Options
  --yes    do not ask

Exit codes
  0 removed   1 not removed; the message says why`,
  options: { yes: { type: 'boolean' } },
  arguments: ['key-id'],
  async run(context) {
    const {
      arguments: [keyId = ''],
      target,
      output,
    } = context;
    const stack = await target();
    const { readTokenKeys, replaceTokenKeys } = await import('./token-key-secret.ts');
    output.progress('counting the tokens of each key');
    const read = await readTokenKeys(stack);
    const { current, previous } = read.keys;
    const previousIds = previous.map(({ id }) => id);
    if (keyId === current.id) {
      throw new CliError(
        'key_in_force',
        'That is the current key: it seals every token. Rotate first: evergrant key rotate.',
      );
    }
    if (!previousIds.includes(keyId)) {
      throw new CliError(
        'key_not_found',
        previous.length === 0
          ? 'There is no such key, and no previous key at all.'
          : `There is no previous key ${keyId}; there are ${previousIds.join(', ')}.${didYouMean(keyId, previousIds)}`,
      );
    }
    const report = await askOperator<KeysReport>(stack, { ask: 'keys' });
    const tokens = usesOf(read.keys, report).find((use) => use.keyId === keyId)?.tokens ?? 0;
    if (tokens > 0) {
      throw new CliError(
        'key_in_use',
        `It still seals ${counted(tokens, 'token')}, which nobody could open without it. Each is sealed anew at its next refresh; evergrant key status shows when none is left.`,
      );
    }
    // What they are sealed with is inside of them; no statement counts them.
    const { readQueueDepth } = await import('../queue-depths.ts');
    const { visible, inFlight, deadLetters } = await readQueueDepth(stack, 'sealed');
    if (visible + inFlight + deadLetters > 0) {
      throw new CliError(
        'sealed_results_waiting',
        `${counted(visible + inFlight + deadLetters, 'sealed result')} may need it to be opened. The next scan stores those that wait; replay the dead letters first: evergrant dlq replay --queue sealed.`,
      );
    }
    const waitMs = forgettable(read)(keyId);
    if (waitMs > 0) {
      throw new CliError(
        'key_recently_current',
        `The keys changed ${duration(takeUpMs - waitMs)} ago, and functions may still seal with it. Try again in ${duration(waitMs)}.`,
      );
    }
    if (!(await agreed(context, `Remove the key ${keyId} from ${stack.stackName} for good?`))) return 1;
    output.progress('removing the key');
    const remaining = previous.filter(({ id }) => id !== keyId);
    await replaceTokenKeys(stack, read, { current, previous: remaining });
    output.document({ current: current.id, previous: remaining.map(({ id }) => id), forgotten: keyId });
    output.line(
      remaining.length === 0
        ? 'Removed. Only the current key is left.'
        : `Removed. ${counted(remaining.length, 'previous key')} left.`,
    );
    return 0;
  },
};

export const keyCommands: readonly Command[] = [status, rotate, forget];

/**
 * In how many milliseconds a previous key can go; 0: at once. A function that read the secret before its last change
 * may be sealing right now with the key that was current then.
 */
function forgettable({ keys, createdAt }: StoredTokenKeys): (keyId: string) => number {
  const waitMs = Math.max(0, createdAt.getTime() + takeUpMs - Date.now());
  return (keyId) => (keyId === keys.previous[0]?.id ? waitMs : 0);
}

/** What `key status` prints for people. `waitMs`: in how many milliseconds a previous key can go. */
export function renderKeys(
  uses: readonly KeyUse[],
  plain: number,
  waitMs: (keyId: string) => number,
): string[] {
  const rows = uses.map(({ keyId, role, tokens }) => [
    keyId,
    role === 'unknown' ? 'not in the secret' : role,
    tokens.toLocaleString('en-US'),
  ]);
  const lines = table([{ title: 'Key id' }, { title: 'Role' }, { title: 'Tokens', align: 'right' }], rows);
  if (plain > 0) lines.push('', `${counted(plain, 'token')} in plain text.`);
  const lost = uses.filter(({ role }) => role === 'unknown');
  if (lost.length > 0) {
    const tokens = lost.reduce((total, use) => total + use.tokens, 0);
    lines.push(
      '',
      `Nobody can open ${counted(tokens, 'token')}: put the missing key back under "previous" in the secret.`,
    );
  }
  const spare = uses.filter(({ role, tokens }) => role === 'previous' && tokens === 0);
  for (const { keyId } of spare) {
    const wait = waitMs(keyId);
    const when = wait > 0 ? `in ${duration(wait)}` : 'now';
    lines.push(
      '',
      `A previous key seals nothing any more, and can go ${when}: evergrant key forget ${keyId}`,
    );
  }
  return lines;
}

async function agreed({ options, output }: CommandContext, question: string): Promise<boolean> {
  if (options.yes === true || (await output.confirm(question))) return true;
  output.document({ error: { code: 'declined', message: 'Nothing was changed.' } });
  output.line('Nothing was changed.');
  return false;
}
