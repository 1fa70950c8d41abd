import { describe, expect, test } from 'vitest';
import { readArguments } from '../../cli/arguments.ts';
import { type Command, UsageError } from '../../cli/command.ts';
import { commands } from '../../cli/commands.ts';
import { helpText } from '../../cli/help.ts';

const groups = [
  ...new Set(commands.flatMap(({ name }) => (name.includes(' ') ? [name.split(' ')[0] ?? ''] : []))),
];

function run(line: string) {
  const request = readArguments(line.split(' ').filter(Boolean), commands);
  if (request.kind !== 'run') throw new Error('help');
  return { name: request.command.name, options: { ...request.options }, arguments: request.arguments };
}

function topicOf(line: string): string | null {
  const request = readArguments(line.split(' ').filter(Boolean), commands);
  if (request.kind !== 'help') throw new Error('no help');
  return typeof request.topic === 'object' ? (request.topic?.name ?? null) : request.topic;
}

function complaint(line: string): string {
  try {
    readArguments(line.split(' ').filter(Boolean), commands);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error(`understood: ${line}`);
}

describe('arguments', () => {
  test.each([
    ['status', { name: 'status', options: {}, arguments: [] }],
    [
      '--local --directory d status',
      { name: 'status', options: { local: true, directory: 'd' }, arguments: [] },
    ],
    ['--stack scan status', { name: 'status', options: { stack: 'scan' }, arguments: [] }],
    [
      'scan --provider history --limit 3 --dry-run',
      { name: 'scan', options: { provider: 'history', limit: '3', 'dry-run': true }, arguments: [] },
    ],
    ...['-Yes8Xh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', '--sLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'].flatMap(
      (keyId): [string, object][] =>
        [`key forget ${keyId} --yes`, `key forget --yes -- ${keyId}`].map((line) => [
          line,
          { name: 'key forget', options: { yes: true }, arguments: [keyId] },
        ]),
    ),
    ['history abc --json', { name: 'history', options: { json: true }, arguments: ['abc'] }],
    ['key --stack s forget k', { name: 'key forget', options: { stack: 's' }, arguments: ['k'] }],
    [
      'migrate --count 2 down --yes',
      { name: 'migrate down', options: { count: '2', yes: true }, arguments: [] },
    ],
    ['history -- -abc', { name: 'history', options: {}, arguments: ['-abc'] }],
  ])('%s', (line, expected) => {
    expect(run(line)).toEqual(expected);
  });

  test.each([
    ['--help', null],
    ['help', null],
    ['help scan', 'scan'],
    ['scan --help', 'scan'],
    ['-h scan', 'scan'],
    ['key --help', 'key'],
    ['help key rotate', 'key rotate'],
    ['history --help', 'history'],
  ])('%s asks for help', (line, topic) => {
    expect(topicOf(line)).toBe(topic);
  });

  test.each([
    ['', 'Name a command.'],
    ['staus', 'There is no command "staus". Did you mean status?'],
    ['hsitory', 'There is no command "hsitory". Did you mean history?'],
    ['verif', 'There is no command "verif". Did you mean verify?'],
    ['frobnicate', 'There is no command "frobnicate".'],
    ['key', 'key is one of: status, rotate, forget.'],
    [
      'key rotat',
      'There is no command key rotat: key is one of status, rotate, forget. Did you mean rotate?',
    ],
    ['scan --provder acme', 'There is no option --provder here. Did you mean --provider?'],
    ['status --limit 3', 'There is no option --limit here.'],
    ['status --lcoal', 'There is no option --lcoal here. Did you mean --local?'],
    ['status -x', 'There is no option -x here.'],
    ['scan --limit', '--limit needs a value.'],
    ['scan --limit --dry-run', '--limit needs a value.'],
    ['scan --dry-run=3', '--dry-run takes no value.'],
    ['history', 'history needs <integration-id>.'],
    ['history a b', '"b" is one argument too many for history, which takes integration-id.'],
    ['status now', '"now" is one argument too many for status, which takes none.'],
    ['help staus', 'There is no command "staus". Did you mean status?'],
  ])('%j is refused', (line, message) => {
    expect(complaint(line)).toBe(message);
  });
});

describe('the commands', () => {
  test('an option has the same type wherever it is taken', () => {
    const types = new Map<string, string>();
    for (const { options = {} } of commands) {
      for (const [name, { type }] of Object.entries(options)) {
        expect(types.get(name) ?? type, name).toBe(type);
        types.set(name, type);
      }
    }
  });

  test('none takes the name of a group, and names are unique', () => {
    const names = commands.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => groups.includes(name))).toEqual([]);
  });

  test.each(commands.map((command): [string, Command] => [command.name, command]))(
    'the help of %s teaches by example, and tells every option',
    (name, command) => {
      const text = helpText(command, commands);
      expect(text).toContain(`\nUsage\n  evergrant ${name}`);
      expect(text).toMatch(/\nExamples\n {2}\S/);
      expect(text).toMatch(/\nExit codes\n {2}0 /);
      for (const option of Object.keys(command.options ?? {})) expect(text).toContain(`\n  --${option}`);
      for (const argument of command.arguments ?? []) expect(text).toContain(`<${argument}>`);
      expect(text.split('\n').filter((line) => line.length > 100)).toEqual([]);
    },
  );

  test('the list fits on a terminal', () => {
    for (const topic of [null, ...groups]) {
      const text = helpText(topic, commands);
      expect(text.split('\n').filter((line) => line.length > 90)).toEqual([]);
    }
    expect(commands.every(({ summary }) => helpText(null, commands).includes(summary))).toBe(true);
  });
});
