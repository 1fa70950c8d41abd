/** Unless `--port` says otherwise. */
export const defaultPort = 8976;

export const callbackPath = '/callback';

/** Where the provider sends the operator's browser back to (RFC 8252 §7.3): this very string is registered there. */
export function redirectUriAt(port: number | '<port>'): string {
  return `http://127.0.0.1:${port}${callbackPath}`;
}
