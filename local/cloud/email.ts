import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request as httpRequest } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { CloudEvent } from './events.ts';
import type { Authorizer } from './iam/authorizer.ts';
import { judgeRequestTime, trueTimeMs } from './iam/request-time.ts';
import type { EmailIdentity } from './iam/ses.ts';
import { neededForSes, sesDenial } from './iam/ses.ts';
import { callerOf, closeServer, listenOnLoopback, readBody, sendJson } from './loopback.ts';
import { startWatchdog } from './watchdog.ts';

/** What the email service does wrong: never answers, answers an error of its own, or is slow. */
export type EmailFault = { hang: true } | { status: number; body: object } | { delayMs: number };

/** An email in the inbox. */
export interface ReceivedEmail {
  messageId: string;
  from: string;
  replyTo: string[];
  destination: { to: string[]; cc: string[]; bcc: string[] };
  subject: string;
  body: { text?: string; html?: string };
  /** Seconds since 1970. */
  at: number;
}

/** An SES endpoint (v1 and v2) with an inbox. */
export interface Email {
  /** Also the inbox: a page at `/`, JSON at `/store`. */
  endpoint: string;
  /** null mends it. The inbox itself is never disturbed. */
  setFault(fault: EmailFault | null): void;
  /** How many calls the service has had, faulty ones included. */
  callCount(): number;
  /** Oldest first. */
  list(): Promise<ReceivedEmail[]>;
  stop(): Promise<void>;
}

/** As an account out of the sandbox: whatever the functions send is delivered. */
const ACCOUNT = {
  DedicatedIpAutoWarmupEnabled: false,
  Details: {
    AdditionalContactEmailAddresses: [],
    ContactLanguage: 'EN',
    MailType: 'TRANSACTIONAL',
    ReviewDetails: { CaseId: 'local', Status: 'GRANTED' },
    UseCaseDescription: 'A local inbox',
    WebsiteURL: 'http://localhost',
  },
  EnforcementStatus: 'HEALTHY',
  ProductionAccessEnabled: true,
  SendingEnabled: true,
  SendQuota: { Max24HourSend: 50_000, MaxSendRate: 14, SentLast24Hours: 0 },
  SuppressionAttributes: { SuppressedReasons: ['BOUNCE', 'COMPLAINT'] },
};

const INBOX_PATHS = new Set(['/store', '/clear-store', '/health-check', '/get-emlContent']);

/**
 * Starts aws-ses-v2-local in a process of its own, behind a proxy with a switch for faults.
 * @throws Error that names a fixed port in use, or with what the server said when it doesn't start.
 */
export async function startEmail(options: {
  port?: number | undefined;
  onEvent: (event: CloudEvent) => void;
  /** Judges the calls of functions; without it everybody is the account's administrator. */
  iam?: { authorize: Authorizer['authorize']; identities: () => readonly EmailIdentity[] };
}): Promise<Email> {
  let fault: EmailFault | null = null;
  let calls = 0;
  const watchdog = startWatchdog();
  const child = fork(fileURLToPath(new URL('./email-server.mjs', import.meta.url)), [], {
    detached: true,
    env: { PATH: '/usr/bin:/bin', AWS_SES_ACCOUNT: JSON.stringify(ACCOUNT) },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  if (child.pid) watchdog.guard(child.pid, 'KILL');

  async function stopServer(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null && child.pid) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    if (child.pid) watchdog.release(child.pid);
    await watchdog.stop();
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isForInbox(request)) return forward(request, response, serverPort);
    calls++;
    const current = fault;
    const functionId = callerOf(request);
    const report = (status: number | null) => options.onEvent({ type: 'email.called', functionId, status });
    const body = await readBody(request);
    const refusal = untimely(request) ?? (functionId === null ? null : refusalOf(functionId, request, body));
    if (refusal) {
      report(refusal.status);
      response.writeHead(refusal.status, refusal.headers).end(refusal.body);
      return;
    }
    if (current && 'hang' in current) return report(null);
    if (current && 'status' in current) {
      report(current.status);
      return sendJson(response, current.status, current.body);
    }
    const delayMs = current?.delayMs ?? 0;
    setTimeout(() => {
      if (!isGetEmailIdentity(request)) return forward(request, response, serverPort, { body, report });
      report(200);
      sendJson(response, 200, VERIFIED_IDENTITY);
    }, delayMs);
  }

  /** What is answered to a request that was signed at another time; null when it was not. */
  function untimely({ headers }: IncomingMessage) {
    const denial = judgeRequestTime(headers, trueTimeMs());
    return (
      denial && {
        status: 403,
        headers: { 'content-type': 'application/json', 'x-amzn-errortype': denial.code },
        body: JSON.stringify({ message: denial.message }),
      }
    );
  }

  /** What a function is answered that may not make this call; null when it may. */
  function refusalOf(callerId: string, { method = '', url = '/' }: IncomingMessage, body: string) {
    if (!options.iam) return null;
    const call = { method, path: url.split('?')[0] as string, body };
    const needed = neededForSes(call, options.iam.identities());
    if (!needed) {
      const message = `The local cloud does not know which permissions ${method} ${call.path} needs.`;
      return {
        status: 400,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ message }),
      };
    }
    for (const each of needed) {
      const verdict = options.iam.authorize({ callerId, ...each });
      if (!verdict.allowed) return sesDenial(verdict, call);
    }
    return null;
  }

  let serverPort = 0;
  try {
    serverPort = await portOf(child);
    const port = await listenOnLoopback(server, options.port, 'ports.email');
    const endpoint = `http://127.0.0.1:${port}`;
    return {
      endpoint,
      setFault: (next) => {
        fault = next;
      },
      callCount: () => calls,
      async list() {
        const response = await fetch(`http://127.0.0.1:${serverPort}/store`);
        return ((await response.json()) as { emails: ReceivedEmail[] }).emails;
      },
      async stop() {
        await Promise.all([closeServer(server), stopServer()]);
      },
    };
  } catch (error) {
    await stopServer();
    throw error;
  }
}

function isForInbox({ method, url = '/' }: IncomingMessage): boolean {
  const path = url.split('?')[0] as string;
  return INBOX_PATHS.has(path) || (method === 'GET' && path === '/');
}

/** The server behind knows no identities, and takes every sender: each is verified. */
const VERIFIED_IDENTITY = {
  IdentityType: 'DOMAIN',
  VerifiedForSendingStatus: true,
  VerificationStatus: 'SUCCESS',
};

function isGetEmailIdentity({ method, url = '' }: IncomingMessage): boolean {
  return method === 'GET' && url.startsWith('/v2/email/identities/');
}

function forward(
  request: IncomingMessage,
  response: ServerResponse,
  port: number,
  read?: { body: string; report: (status: number) => void },
): void {
  const { method, url, headers } = request;
  const upstream = httpRequest({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
    read?.report(answer.statusCode ?? 502);
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  upstream.on('error', () => response.destroy());
  if (read) upstream.end(read.body);
  else request.pipe(upstream);
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      output = (output + chunk).slice(-2_000);
    });
    child.once('message', (message) => resolve((message as { port: number }).port));
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`The email server didn't start:\n${output}`)));
  });
}
