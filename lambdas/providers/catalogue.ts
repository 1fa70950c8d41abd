import type { ProviderDescription } from './definition.ts';

/** A provider that is known by itself. */
export interface CatalogueEntry extends ProviderDescription {
  /** Names under which products keep integrations of it, beside its own; they share its client unless they have one. */
  readonly aliases?: readonly string[];
}

/** The providers that need no definition in their secret, by the name that stands in `integrations.provider`. */
export const catalogue: Readonly<Record<string, CatalogueEntry>> = {};

/** The entry of a provider's name or alias with its own name; `null`: the catalogue does not know it. */
export function findInCatalogue(
  name: string,
): { readonly name: string; readonly description: ProviderDescription } | null {
  const own = Object.hasOwn(catalogue, name)
    ? name
    : Object.keys(catalogue).find((each) => catalogue[each]?.aliases?.includes(name));
  if (own === undefined) return null;
  const { aliases: _, ...description } = catalogue[own] as CatalogueEntry;
  return { name: own, description };
}
