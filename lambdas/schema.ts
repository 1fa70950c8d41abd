import { config } from 'zod/mini';
import en from 'zod/v4/locales/en.js';
import * as z from './zod.ts';

// Without a locale every problem would read "Invalid input".
config(en());

export { z };

/** The problems of a failed parse in one line, each with its field. Values are not repeated. */
export function problemsOf(error: z.core.$ZodError, whole: string): string {
  return eachProblemOf(error, whole).join('; ');
}

/** The problems of a failed parse one by one. */
export function eachProblemOf(error: Pick<z.core.$ZodError, 'issues'>, whole: string): string[] {
  return error.issues.map((issue) => `${issue.path.join('.') || whole}: ${issue.message}`);
}
