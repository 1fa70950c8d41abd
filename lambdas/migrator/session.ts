import type pg from 'pg';

/** An unlucky moment can hide a pooler from one look; it does not from several. */
const looks = 5;

/**
 * Whether a connection is one session of the server for as long as it lives, as a session advisory lock needs it. It
 * is not behind a pooler in transaction mode, which gives every transaction any of its sessions: then another
 * connection (`connect` opens it) gets our session while we are in no transaction, or we get another ourselves.
 */
export async function isOneSession(client: pg.Client, connect: () => Promise<pg.Client>): Promise<boolean> {
  const backend = await backendOf(client);
  // A pooler makes up the process id that clients cancel with; the server's own is the one of its process.
  if ((client as pg.Client & { readonly processID: number }).processID === backend) return true;
  let other: pg.Client | undefined;
  try {
    other = await connect();
    for (let look = 0; look < looks; look += 1) {
      await other.query('BEGIN');
      if ((await backendOf(other)) === backend || (await backendOf(client)) !== backend) return false;
      await other.query('COMMIT');
    }
    return true;
  } catch {
    // A pooler in session mode may have no second session to give; the one that we have is ours.
    return (await backendOf(client)) === backend;
  } finally {
    await other?.end();
  }
}

async function backendOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid as number;
}
