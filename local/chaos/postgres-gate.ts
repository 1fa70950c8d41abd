import net from 'node:net';
import { breakConnection } from './break-connection.ts';
import type { FunctionProcess, Processes } from './processes.ts';
import { idsOfBind, kindOf, type Message, MessageReader, type StatementKind } from './statements.ts';

/** A statement on its way to Postgres. */
export interface GateStatement {
  readonly kind: StatementKind;
  /** Of integrations, or of the event: what stands in its first parameter. */
  readonly ids: readonly string[];
  readonly process: FunctionProcess | null;
}

/** What happens to a statement instead of passing: where, and what. */
export interface Interference {
  /** `arrival`: Postgres never gets it. `answer`: it is carried out, and nobody hears of it. `passed`: right after its answer. */
  readonly at: 'arrival' | 'answer' | 'passed';
  /** Beside it the connection breaks. */
  readonly act?: () => void;
}

export interface GateOptions {
  readonly targetPort: number;
  readonly processes: Processes;
  /** Asked for each statement when it has arrived as a whole. */
  readonly interfere: (statement: GateStatement) => Interference | null;
  /** `committed`: Postgres has carried it out without an error, whoever heard of it. */
  readonly onAnswered: (statement: GateStatement, committed: boolean) => void;
}

/** What stands between the functions and Postgres. */
export interface PostgresGate {
  readonly port: number;
  /** Breaks every connection; new ones are let in. */
  cutAll(): void;
  /** From now on no byte passes, until `release`. */
  hold(): void;
  release(): void;
  stop(): Promise<void>;
}

/**
 * Starts a gate on 127.0.0.1 that reads what passes: statements by their text, and the process that each is from. The
 * functions ask one statement at a time on each connection, so an answer is whole when Postgres is ready for the next.
 */
export async function startPostgresGate(options: GateOptions): Promise<PostgresGate> {
  const sockets = new Set<net.Socket>();
  let holding = false;
  let held: (() => void)[] = [];
  /** Does it now, or when bytes may pass again. */
  const pass = (work: () => void) => {
    if (holding) held.push(work);
    else work();
  };

  const server = net.createServer({ noDelay: true }, (client) => {
    options.processes.behind(client);
    const upstream = net.connect({ port: options.targetPort, host: '127.0.0.1', noDelay: true });
    const breakOff = () => {
      breakConnection(client);
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        breakOff();
      });
    }
    const asked = new MessageReader('client');
    const answered = new MessageReader('server');
    let kind: StatementKind = 'other';
    let ids: readonly string[] = [];
    let unit: Buffer[] = [];
    let underWay: { statement: GateStatement; interference: Interference | null; failed: boolean } | null =
      null;
    let answer: Buffer[] = [];

    const toPostgres = (message: Message): void => {
      if (message.type === 'opening' || message.type === 'X' || message.type === 'p') {
        upstream.write(message.bytes);
        return;
      }
      unit.push(message.bytes);
      if (message.type === 'P') {
        const text = message.content.subarray(message.content.indexOf(0) + 1).toString('utf8');
        kind = kindOf(text);
      }
      if (message.type === 'B') ids = idsOfBind(message.content);
      if (message.type !== 'S' && message.type !== 'Q') return;
      const statement = { kind, ids, process: options.processes.behind(client) };
      const bytes = Buffer.concat(unit);
      [kind, ids, unit] = ['other', [], []];
      const interference = options.interfere(statement);
      if (interference?.at === 'arrival') {
        interference.act?.();
        breakOff();
        return;
      }
      underWay = { statement, interference, failed: false };
      upstream.write(bytes);
    };

    const toClient = (message: Message): void => {
      answer.push(message.bytes);
      if (message.type === 'E' && underWay) underWay.failed = true;
      if (message.type !== 'Z') {
        if (underWay === null) flush();
        return;
      }
      const done = underWay;
      underWay = null;
      if (done) options.onAnswered(done.statement, !done.failed);
      if (done?.interference?.at === 'answer') {
        done.interference.act?.();
        breakOff();
        return;
      }
      flush();
      if (done?.interference?.at === 'passed') {
        const { act } = done.interference;
        setImmediate(() => act?.());
      }
    };
    const flush = () => {
      client.write(Buffer.concat(answer));
      answer = [];
    };

    client.on('data', (chunk) =>
      pass(() => {
        for (const message of asked.push(chunk)) if (!client.destroyed) toPostgres(message);
      }),
    );
    upstream.on('data', (chunk) =>
      pass(() => {
        for (const message of answered.push(chunk)) if (!client.destroyed) toClient(message);
      }),
    );
  });
  server.listen(0, '127.0.0.1');
  await new Promise<void>((resolve) => server.once('listening', resolve));

  return {
    port: (server.address() as net.AddressInfo).port,
    cutAll() {
      for (const socket of sockets) breakConnection(socket);
    },
    hold() {
      holding = true;
    },
    release() {
      holding = false;
      const works = held;
      held = [];
      for (const work of works) work();
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
