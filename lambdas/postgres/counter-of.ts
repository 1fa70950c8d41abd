/**
 * A counter in a product's own column, whatever that holds: it counts from 0, and stops where a smallint would
 * overflow, far above every threshold. A failure that does not fit into its row would be lost.
 */
export function counterOf(column: string): string {
  return `greatest(0, least(coalesce(${column}, 0), 32766))::int`;
}
