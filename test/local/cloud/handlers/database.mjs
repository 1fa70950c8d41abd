import { Signer } from '@aws-sdk/rds-signer';
import pg from 'pg';

const address = new URL(process.env.DATABASE_IAM_URL);

/** Runs one statement over a connection of its own, as a function of the stack would. */
export async function handler({
  statement = 'SELECT 1 AS value',
  user = address.username,
  signedFor = user,
}) {
  const signer = new Signer({
    hostname: address.hostname,
    port: Number(address.port),
    username: signedFor,
    region: process.env.AWS_REGION,
  });
  const client = new pg.Client({
    host: address.hostname,
    port: Number(address.port),
    user,
    database: address.pathname.slice(1),
    password: () => signer.getAuthToken(),
    ssl: { rejectUnauthorized: true },
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return { rows: (await client.query(statement)).rows };
  } catch ({ code, message }) {
    return { code, message };
  } finally {
    await client.end();
  }
}
