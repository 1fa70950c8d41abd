import { randomInt } from 'node:crypto';
import type { JsonObject } from './json.ts';

const LOWERCASE = 'abcdefghijklmnopqrstuvwxyz';
const UPPERCASE = LOWERCASE.toUpperCase();
const DIGITS = '0123456789';
const PUNCTUATION = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';
const DEFAULT_LENGTH = 32;

/**
 * Makes a secret value as CloudFormation's GenerateSecretString says: a password, or a JSON object with one.
 * @throws Error when the flags leave no character, or more types to include than the length has places.
 */
export function generateSecretString(settings: JsonObject): string {
  const password = generatePassword(settings);
  if (typeof settings.GenerateStringKey !== 'string') return password;
  const template = JSON.parse(String(settings.SecretStringTemplate ?? '{}')) as JsonObject;
  return JSON.stringify({ ...template, [settings.GenerateStringKey]: password });
}

function generatePassword(settings: JsonObject): string {
  const length = Number(settings.PasswordLength ?? DEFAULT_LENGTH);
  const excluded = String(settings.ExcludeCharacters ?? '');
  const alphabets = [
    settings.ExcludeLowercase === true ? '' : LOWERCASE,
    settings.ExcludeUppercase === true ? '' : UPPERCASE,
    settings.ExcludeNumbers === true ? '' : DIGITS,
    settings.ExcludePunctuation === true ? '' : PUNCTUATION,
    settings.IncludeSpace === true ? ' ' : '',
  ]
    .map((alphabet) => [...alphabet].filter((character) => !excluded.includes(character)))
    .filter((alphabet) => alphabet.length > 0);
  const all = alphabets.flat();
  const required = settings.RequireEachIncludedType === false ? [] : alphabets.map(pick);
  if (all.length === 0) throw new Error('GenerateSecretString excludes every character.');
  if (required.length > length)
    throw new Error(`GenerateSecretString needs ${required.length} characters or more.`);
  const characters = [...required, ...Array.from({ length: length - required.length }, () => pick(all))];
  return shuffle(characters).join('');
}

function pick(alphabet: string[]): string {
  return alphabet[randomInt(alphabet.length)]!;
}

function shuffle(characters: string[]): string[] {
  for (let last = characters.length - 1; last > 0; last--) {
    const other = randomInt(last + 1);
    [characters[last], characters[other]] = [characters[other]!, characters[last]!];
  }
  return characters;
}
