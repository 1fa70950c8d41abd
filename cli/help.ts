import type { Command } from './command.ts';

const targetText = `  --stack NAME       the deployed stack; by default EVERGRANT_STACK, or evergrant-prod
  --local            what npm start runs on this machine, instead of a deployed stack
  --directory PATH   with --local: the directory that npm start was given
`;

const everywhereText = `  --json             one JSON document on standard output, also for errors
  --help             help on a command
`;

/** What `--help` prints about everything, about commands that share their first word, or about one. */
export function helpText(topic: Command | string | null, commands: readonly Command[]): string {
  if (topic === null) return overview(commands);
  if (typeof topic === 'string') return groupHelp(topic, commands);
  return `${topic.help.trim()}

Options of every command
${topic.needsTarget === false ? '' : targetText}${everywhereText}`;
}

function overview(commands: readonly Command[]): string {
  return `Operates Evergrant: shows how the tokens are, and lets you scan, refresh, migrate, verify and rotate by hand.

Usage
  evergrant <command> [options]
  evergrant <command> --help      what it does, by example

Commands
${list(commands)}

Options of every command
${targetText}${everywhereText}
Credentials and region of a deployed stack come from where the AWS CLI has them (AWS_PROFILE, AWS_REGION …).

Exit codes
  0  done, or all is well
  1  it did not work; the message says what to do
  2  wrong usage
  3  it worked, and what it found is not well
`;
}

function groupHelp(group: string, commands: readonly Command[]): string {
  const members = commands.filter(({ name }) => name.startsWith(`${group} `));
  return `Usage
  evergrant ${group} <command> [options]

Commands
${list(members)}

evergrant ${members[0]?.name} --help tells more, and so for the others.
`;
}

function list(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
}
