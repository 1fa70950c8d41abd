import type { DeadLetter } from './dead-letter.ts';

/** Characters of somebody else's body that are printed, and that are looked at for it. */
const printedLength = 500;
const readLength = 8 * printedLength;

const guid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const moment = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?$/;

/** Fields of well-formed bodies. A body with others is printed like one of somebody else. */
const ownFields = ['version', 'integrationId', 'eventId', 'claim', 'grant', 'provider', 'sealed'];

/**
 * The body for an operator's eyes. Our own bodies are printed as they are, but for what is sealed, of which only the length
 * is. What somebody else sent may hold anything: values under names that sound secret, and long runs of letters and digits
 * that are neither an id nor a moment, are replaced by their length, before the rest is cut.
 */
export function printableBody({ body, problem }: Pick<DeadLetter, 'body' | 'problem'>): string {
  const own = problem === null ? ownBody(body) : null;
  if (own !== null) return printable(own);
  const masked = maskSecrets(beginningOf(body));
  if (masked.length <= printedLength && body.length <= readLength) return printable(masked);
  return `${printable(masked.slice(0, printedLength))}… (${body.length} characters in all)`;
}

/** Cut where no run of letters and digits is, which would be too short to be taken for a token then. */
function beginningOf(body: string): string {
  return body.length <= readLength ? body : body.slice(0, readLength).replace(/[\w.~+/=%-]*$/, '');
}

/** A body with our own fields only; of what is sealed its length. `null`: it has others. */
function ownBody(body: string): string | null {
  const document = JSON.parse(body) as { readonly sealed?: unknown };
  if (!Object.keys(document).every((name) => ownFields.includes(name))) return null;
  if (document.sealed === undefined) return body;
  return JSON.stringify({ ...document, sealed: lengthOf(String(document.sealed)) });
}

/** Characters that steer a terminal become visible. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const secretName = String.raw`[\w.-]{0,40}(?:token|secret|passw|pwd|auth|key|assertion|code|credential|cookie|session|jwt)[\w.-]{0,40}`;
const secretValue = new RegExp(
  // A name, quoted or not and however escaped, then its value: quoted, or up to the next separator.
  String.raw`(${secretName}\\*["']?\s*[:=]\s*)(\\*"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|(?:(?:bearer|basic)\s+)?[^\s,;&}\]]+)`,
  'gi',
);

function maskSecrets(text: string): string {
  return text
    .replace(
      /\b(bearer|basic)(\s+)([^\s"',;}]+)/gi,
      (_, scheme: string, space: string, value: string) => `${scheme}${space}${hidden(value)}`,
    )
    .replace(secretValue, (_, name: string, value: string) => `${name}${hidden(value)}`)
    .replace(/[\w.~+/=%-]{20,}/g, (run) => (guid.test(run) || moment.test(run) ? run : hidden(run)));
}

function hidden(value: string): string {
  return value.startsWith('«') ? value : lengthOf(value);
}

function lengthOf(value: string): string {
  return `«${value.length} characters»`;
}

/** A duration as people say it, such as `3 h 12 min`. */
export function durationText(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

export function deadLettersText(count: number): string {
  return count === 1 ? '1 dead letter' : `${count} dead letters`;
}
