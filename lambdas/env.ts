import { z } from './schema.ts';

/** The function's environment is not what it must be: `problems` names every variable at fault. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code = 'environment_invalid';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The environment is not usable:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

export const text = z.string().check(z.minLength(1));

/** A whole number from `minimum` to `maximum`, written in digits. */
export function wholeNumber(minimum: number, maximum: number) {
  return z.pipe(
    z.pipe(
      z.string().check(z.regex(/^\d{1,15}$/, { error: 'must be a whole number' })),
      z.transform((digits) => Number(digits)),
    ),
    z.number().check(z.minimum(minimum), z.maximum(maximum)),
  );
}

export const flag = z.pipe(
  z.enum(['true', 'false']),
  z.transform((value) => value === 'true'),
);

/**
 * Reads environment variables into a typed object. `variables` maps a name of ours to a variable and its
 * schema. Throws `EnvironmentError` with all problems at once; values are not repeated in it.
 */
export function readEnv<Shape extends Record<string, z.core.$ZodType>>(
  variables: { readonly [Key in keyof Shape]: readonly [variable: string, schema: Shape[Key]] },
  source: NodeJS.ProcessEnv = process.env,
): { [Key in keyof Shape]: z.core.output<Shape[Key]> } {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, [variable, schema]] of Object.entries(variables)) {
    const value = source[variable];
    if (value === undefined) {
      // A schema that takes undefined has a meaning for a variable that is not set.
      const absent = z.safeParse(schema, undefined);
      if (absent.success) values[key] = absent.data;
      else problems.push(`${variable} is not set`);
      continue;
    }
    const parsed = z.safeParse(schema, value);
    if (parsed.success) values[key] = parsed.data;
    else problems.push(`${variable}: ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
  }
  if (problems.length > 0) throw new EnvironmentError(problems);
  return values as { [Key in keyof Shape]: z.core.output<Shape[Key]> };
}
