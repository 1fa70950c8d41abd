import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A token endpoint in a process of its own, so that what it computes is nobody's measure. It takes every refresh token and
 * rotates it. `POST /<name>` answers after the delay that the parent has set for that name, at once by default. The tokens
 * are about as long as Google's: 220 and 100 characters.
 */
export interface ProviderOrder {
  readonly delaysMs: Readonly<Record<string, number>>;
}

export interface ProviderReport {
  readonly port: number;
}

let delaysMs: ProviderOrder['delaysMs'] = {};
let issued = 0;
const accessPadding = randomBytes(150).toString('base64url');
const refreshPadding = randomBytes(60).toString('base64url');

const server = createServer({ keepAlive: true, keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume();
  request.on('end', () => {
    const answer = () => {
      issued += 1;
      const number = String(issued).padStart(20, '0');
      const body = JSON.stringify({
        access_token: `${accessPadding}${number}`,
        refresh_token: `${refreshPadding}${number}`,
        token_type: 'Bearer',
        expires_in: 3600,
      });
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
      response.end(body);
    };
    const delayMs = delaysMs[(request.url ?? '/').slice(1)] ?? 0;
    if (delayMs > 0) setTimeout(answer, delayMs);
    else answer();
  });
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port } satisfies ProviderReport);
});
process.on('message', (order: ProviderOrder) => {
  delaysMs = order.delaysMs;
  process.send?.('done');
});
process.on('disconnect', () => process.exit());
