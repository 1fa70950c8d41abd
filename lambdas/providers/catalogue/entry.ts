import type { ProviderDescription } from '../definition.ts';

/** A provider that is known by itself. */
export interface CatalogueEntry extends ProviderDescription {
  readonly documentation: string;
  /** Names under which products keep integrations of it, beside its own; they share its client unless they have one. */
  readonly aliases?: readonly string[];
  /** What an operator should know, a sentence or two each; for the generated page. */
  readonly notes?: readonly string[];
}

export const minutes = 60;
export const hours = 60 * minutes;
export const days = 24 * hours;
