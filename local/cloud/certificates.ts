import type { CertificateField } from 'selfsigned';

/** A server's certificate and the authority that signed it, as PEM. */
export interface ServerCertificate {
  authority: string;
  certificate: string;
  privateKey: string;
}

const KEY = { keyType: 'ec', algorithm: 'sha256' } as const;
const AUTHORITY: CertificateField[] = [{ name: 'commonName', value: 'Evergrant local cloud' }];

/**
 * Makes a certificate for a host name, signed by an authority that signs nothing else: its key is forgotten at once.
 * Both are valid for a year.
 */
export async function certify(hostName: string): Promise<ServerCertificate> {
  // A fifth of a second to load, and most starts have no use for it.
  const { generate } = await import('selfsigned');
  const authority = await generate(AUTHORITY, {
    ...KEY,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  const server = await generate([{ name: 'commonName', value: hostName }], {
    ...KEY,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: hostName }] },
    ],
  });
  return { authority: authority.cert, certificate: server.cert, privateKey: server.private };
}
