import { commerce } from './commerce.ts';
import type { Dialect } from './dialect.ts';
import { identity } from './identity.ts';
import { social } from './social.ts';
import { work } from './work.ts';

/**
 * How providers speak at their token endpoints, by the names that the catalogue gives them, as their documentation and
 * their recorded answers say it. Nothing here comes from the catalogue: the two are held against each other.
 */
export const dialects: Readonly<Record<string, Dialect>> = { ...work, ...social, ...commerce, ...identity };
