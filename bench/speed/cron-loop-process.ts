import pg from 'pg';
import { TokenSealer } from '../../lambdas/sealing/token-sealer.ts';
import { serveOrders } from './peer.ts';

export interface CronLoopOrder {
  readonly databaseUrl: string;
  readonly tokenKeySecret: string;
  readonly tokenEndpoint: string;
  readonly ids: readonly string[];
}

/**
 * The cron loop: what a product writes first. Integrations one after another, of each the token, a note that it is tried,
 * the call, and the result. It holds one connection to the database and one to the provider.
 */
serveOrders<CronLoopOrder>(async ({ databaseUrl, tokenKeySecret, tokenEndpoint, ids }) => {
  const database = new pg.Client({ connectionString: databaseUrl });
  await database.connect();
  const sealer = await TokenSealer.fromSecret(tokenKeySecret);
  const authorization = `Basic ${btoa('acme-flows:acme-flows-secret')}`;
  return async () => {
    for (const integrationId of ids) {
      const { rows } = await database.query<{ refresh_token: string }>(
        'SELECT refresh_token FROM integrations WHERE id = $1',
        [integrationId],
      );
      await database.query('UPDATE integrations SET last_refresh_attempt = now() WHERE id = $1', [
        integrationId,
      ]);
      const opened = await sealer.open(rows[0]?.refresh_token ?? '', {
        integrationId,
        column: 'refresh_token',
      });
      if (!opened.ok) throw new Error(`the token of ${integrationId} does not open`);
      const response = await fetch(tokenEndpoint, {
        method: 'POST',
        headers: { authorization },
        body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: opened.token }),
      });
      const answer = (await response.json()) as {
        access_token: string;
        refresh_token: string;
        expires_in: number;
      };
      await database.query(
        `UPDATE integrations
         SET access_token = $2, refresh_token = $3, expires_at = now() + make_interval(secs => $4), last_refresh_success = now()
         WHERE id = $1`,
        [
          integrationId,
          await sealer.seal(answer.access_token, { integrationId, column: 'access_token' }),
          await sealer.seal(answer.refresh_token, { integrationId, column: 'refresh_token' }),
          answer.expires_in,
        ],
      );
    }
  };
});
