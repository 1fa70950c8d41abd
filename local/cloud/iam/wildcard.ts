/** Whether a text is matched as a whole by a pattern with `*` (any characters, or none) and `?` (any one). */
export function matchesWildcard(pattern: string, text: string): boolean {
  let at = 0;
  let inText = 0;
  let star = -1;
  let resumeAt = 0;
  while (inText < text.length) {
    if (pattern[at] === '*') {
      star = at++;
      resumeAt = inText;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[inText])) {
      at++;
      inText++;
    } else if (star >= 0) {
      at = star + 1;
      inText = ++resumeAt;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}

/** Whether an action such as `sqs:SendMessage` is matched by a pattern; letter case is no matter. */
export function matchesAction(pattern: string, action: string): boolean {
  return matchesWildcard(pattern.toLowerCase(), action.toLowerCase());
}

/** Whether an ARN is matched by a pattern: `*`, or an ARN whose six parts each match, so that no wildcard spans two. */
export function matchesArn(pattern: string, arn: string): boolean {
  if (pattern === '*') return true;
  const patterns = partsOf(pattern);
  const parts = partsOf(arn);
  return (
    patterns.length === parts.length &&
    patterns.every((part, index) => matchesWildcard(part, parts[index] ?? ''))
  );
}

/** Partition, service, region, account and resource behind `arn`; a resource may have colons of its own. */
function partsOf(arn: string): string[] {
  const parts = arn.split(':');
  return parts.length <= 6 ? parts : [...parts.slice(0, 5), parts.slice(5).join(':')];
}
