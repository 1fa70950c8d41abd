const maxLength = 300;

/**
 * What a provider says, fit for a terminal: one line, without what could steer the terminal or turn the text around,
 * and without any of `secrets`, which a provider may echo.
 */
export function providerText(text: string, secrets: readonly string[]): string {
  let shown = text;
  for (const secret of secrets) if (secret !== '') shown = shown.replaceAll(secret, '…');
  const line = shown.replaceAll(/\s+/g, ' ').replaceAll(/\p{C}/gu, '').trim();
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line;
}

/** `code (description)`, or what there is of the two. */
export function providerError(
  error: string,
  description: string | null,
  secrets: readonly string[] = [],
): string {
  const code = providerText(error, secrets);
  const words = providerText(description ?? '', secrets).replace(/\.$/, '');
  return words === '' ? code : `${code} (${words})`;
}
