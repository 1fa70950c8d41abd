import { Signer } from '@aws-sdk/rds-signer';

/**
 * Makes passwords for IAM database authentication out of the function's own credentials. A password is a signed
 * address, good for 15 minutes and needed only while connecting, so each connection gets a new one (Aurora User
 * Guide, "IAM database authentication"). The URL's host, port and user are what is signed.
 */
export function iamPassword(url: string): () => Promise<string> {
  const { hostname, port, username } = new URL(url);
  const signer = new Signer({
    hostname,
    port: Number(port || 5432),
    username: decodeURIComponent(username),
  });
  return () => signer.getAuthToken();
}
