import http from 'node:http';
import pg from 'pg';
import { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import { serveOrders } from './peer.ts';

export interface FloorOrder {
  readonly databaseUrl: string;
  readonly tokenKeySecret: string;
  readonly tokenEndpoint: string;
  readonly batchSize: number;
  readonly ids: readonly string[];
}

const agent = new http.Agent({ keepAlive: true });

function post(url: string, authorization: string, body: string): Promise<string> {
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: 'POST', headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/**
 * The floor: refreshes and nothing else. One statement loads the tokens of a batch, all calls run at once, one statement
 * stores what came. No claims, no fencing, no outbox, no logs: it loses grants, and nothing that keeps them can beat it.
 */
async function refresh(order: FloorOrder, database: pg.Client, sealer: TokenSealer): Promise<void> {
  const { ids, batchSize, tokenEndpoint } = order;
  const authorization = `Basic ${btoa('acme-flows:acme-flows-secret')}`;
  for (let from = 0; from < ids.length; from += batchSize) {
    const { rows } = await database.query<{ id: string; refresh_token: string }>({
      name: 'load',
      text: 'SELECT id, refresh_token FROM integrations WHERE id = ANY($1::uuid[])',
      values: [ids.slice(from, from + batchSize)],
    });
    const refreshed = await Promise.all(
      rows.map(async ({ id: integrationId, refresh_token }) => {
        const opened = await sealer.open(refresh_token, { integrationId, column: 'refresh_token' });
        if (!opened.ok) throw new Error(`the token of ${integrationId} does not open`);
        const parameters = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: opened.token });
        const answer = JSON.parse(await post(tokenEndpoint, authorization, parameters.toString())) as {
          access_token: string;
          refresh_token: string;
          expires_in: number;
        };
        return {
          id: integrationId,
          access: await sealer.seal(answer.access_token, { integrationId, column: 'access_token' }),
          refresh: await sealer.seal(answer.refresh_token, { integrationId, column: 'refresh_token' }),
          expiresIn: answer.expires_in,
        };
      }),
    );
    await database.query({
      name: 'store',
      text: `UPDATE integrations i
             SET access_token = r.access, refresh_token = r.refresh, expires_at = now() + make_interval(secs => r.expires_in)
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::float8[]) AS r (id, access, refresh, expires_in)
             WHERE i.id = r.id`,
      values: [
        refreshed.map(({ id }) => id),
        refreshed.map(({ access }) => access),
        refreshed.map(({ refresh: token }) => token),
        refreshed.map(({ expiresIn }) => expiresIn),
      ],
    });
  }
}

serveOrders<FloorOrder>(async (order) => {
  const database = new pg.Client({ connectionString: order.databaseUrl });
  await database.connect();
  const sealer = await TokenSealer.fromSecret(order.tokenKeySecret);
  return () => refresh(order, database, sealer);
});
