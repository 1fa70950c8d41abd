import { createServer } from 'node:net';

/** A port to ask for by its usual number: `undefined`, which stands for any free one, when that is taken. */
export async function preferred(port: number): Promise<number | undefined> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(undefined));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)));
  });
}
