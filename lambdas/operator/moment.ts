/**
 * A moment of the database as ISO 8601; `null` where there is none, or none that a calendar has: the driver gives
 * infinity as a number.
 */
export function moment(value: Date | number | null): string | null {
  return value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : null;
}
