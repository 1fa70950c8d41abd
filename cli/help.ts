import type { Command } from './command.ts';

const targetText = `  --stack NAME       the deployed stack; without it EVERGRANT_STACK, or evergrant-prod
  --local            the system that npm start runs on this machine
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
  return `Operates Evergrant: shows how it is, and does by hand what the schedule does, and more.

Usage
  evergrant <command> [options]
  evergrant <command> --help      what it does, by example

Commands
${list(commands)}

Options of every command
${targetText}${everywhereText}
Credentials and region are those of the AWS CLI (AWS_PROFILE, AWS_REGION, aws sso login).

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
