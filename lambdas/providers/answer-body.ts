/** The headers of an answer, as far as a verdict needs them. */
export interface AnswerHeaders {
  /** Its values with commas between, whatever the case of the name; `null`: there is none. */
  get(name: string): string | null;
}

/** The body of an answer, as far as it is an object. */
export type AnswerBody = Readonly<Record<string, unknown>>;

/**
 * Reads a body as JSON whatever content type a server claims, else as a form if it claims that (GitHub answers so to
 * who does not ask for JSON). `null`: neither, or no object. Never throws.
 */
export function readAnswerBody(text: string, contentType: string | null): AnswerBody | null {
  try {
    const value: unknown = JSON.parse(text.replace(/^\ufeff/, ''));
    return isObject(value) && !Array.isArray(value) ? value : null;
  } catch {
    return /^\s*application\/x-www-form-urlencoded\b/i.test(contentType ?? '')
      ? Object.fromEntries(new URLSearchParams(text))
      : null;
  }
}

/** What stands at a path such as `errors.0.code`; `undefined`: nothing. Only what the answer itself holds is found. */
export function valueAt(body: unknown, path: string): unknown {
  let value = body;
  for (const name of path.split('.')) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A number, also one that is written as a text; `null`: none. */
export function numberIn(value: unknown): number | null {
  const number = typeof value === 'string' && /^\s*[+-]?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}
