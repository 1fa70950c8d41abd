/** `1 token`, `3 tokens`, `1,204 tokens`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? noun : plural}`;
}

/** A length of time as people say it: `12 s`, `4 min`, `3 h`, `2 d`. */
export function duration(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** A moment seen from another: `4 min ago`, `in 12 s`; `—` when there is none. */
export function relative(moment: string | null, now: string): string {
  if (moment === null) return '—';
  const ms = Date.parse(moment) - Date.parse(now);
  if (Math.abs(ms) < 1_000) return 'now';
  return ms < 0 ? `${duration(ms)} ago` : `in ${duration(ms)}`;
}

/** A moment to the second, in UTC as the logs have it. */
export function moment(iso: string): string {
  return iso.replace('T', ' ').replace(/(\.\d+)?Z$/, 'Z');
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(items: readonly string[]): string {
  return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
