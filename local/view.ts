import { styleText } from 'node:util';
import type { CloudEvent } from './cloud/events.ts';

/** What the view calls an integration: "Ada at Acme Calendar". */
export type Label = (integrationId: string) => string;

interface LogLine {
  readonly level?: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

/**
 * Tells on a terminal what the system does: a line for each scan that found something, for the refreshes of
 * a batch together, and for whatever concerns a user. On a terminal a line of totals stays at the bottom;
 * elsewhere the lines are plain.
 */
export class View {
  readonly #out: NodeJS.WriteStream;
  readonly #label: Label;
  readonly #live: boolean;
  readonly #refreshed = new Map<string, { labels: string[]; durationsMs: number[] }>();
  readonly #totals = {
    scans: 0,
    refreshed: 0,
    transient: 0,
    permanent: 0,
    operator: 0,
    notifications: 0,
    emails: 0,
  };
  #footer = '';

  constructor(out: NodeJS.WriteStream, label: Label) {
    this.#out = out;
    this.#label = label;
    this.#live = out.isTTY === true && process.env.TERM !== 'dumb';
  }

  /** Takes one event of the local cloud. */
  show(event: CloudEvent): void {
    switch (event.type) {
      case 'function.log':
        this.#log(event.functionId, event.requestId ?? '', event.line);
        break;
      case 'function.ended': {
        const batch = this.#refreshed.get(event.requestId);
        this.#refreshed.delete(event.requestId);
        if (batch) this.#showRefreshed(batch);
        if (!event.ok) this.#say('red', 'crashed', `${stageOf(event.functionId)}: ${event.errorMessage}`);
        break;
      }
      case 'function.killed':
        this.#say(
          'yellow',
          'killed',
          `${stageOf(event.functionId)}, ${event.pids.length > 0 ? `process ${event.pids.join(', ')}` : 'which was not running'}`,
        );
        break;
      case 'database.refused':
        this.#say(
          'red',
          'database',
          `refused ${event.functionId ? stageOf(event.functionId) : 'a connection'}: ${event.reason}`,
        );
        break;
      case 'queue.error':
        this.#say('red', 'queue', `${event.action} failed: ${event.message}`);
        break;
      case 'access.denied':
        this.#say('red', 'denied', event.message);
        break;
      case 'alarm':
        this.#alarm(event);
        break;
    }
    this.#showTotals();
  }

  /** Takes the line of totals away, for whoever writes next. */
  close(): void {
    if (this.#live && this.#footer !== '') this.#out.write('\r\x1b[K');
    this.#footer = '';
  }

  #log(functionId: string, requestId: string, line: string): void {
    const entry = parse(line);
    if (!entry) {
      if (!line.startsWith('{"_aws"')) this.#say('gray', stageOf(functionId), line);
      return;
    }
    const who = this.#label(String(entry.integrationId ?? ''));
    switch (entry.message) {
      case 'scanned':
        this.#totals.scans += 1;
        if (Number(entry.claimed) > 0) {
          const left = Number(entry.left) > 0 ? `, ${entry.left} left for the next scan` : '';
          this.#say('cyan', 'scan', `${entry.claimed} due${left}`);
        }
        if (Number(entry.eventsRelayed) > 0)
          this.#say('cyan', 'relay', `${entry.eventsRelayed} events published again`);
        break;
      case 'refreshed': {
        this.#totals.refreshed += 1;
        const batch = this.#refreshed.get(requestId) ?? { labels: [], durationsMs: [] };
        batch.labels.push(who);
        batch.durationsMs.push(Number(entry.durationMs));
        this.#refreshed.set(requestId, batch);
        break;
      }
      case 'refresh failed':
      case 'operator fault':
        this.#failed(entry, who);
        break;
      case 'result void':
        this.#say('yellow', 'void', `${who}: the row had changed meanwhile (${entry.verdict})`);
        break;
      case 'result sealed':
        this.#say(
          'yellow',
          'sealed',
          `${who}: Postgres did not take the new tokens; they wait sealed in their queue`,
        );
        break;
      case 'sealed result stored':
        this.#say('green', 'stored', `${who}: the new tokens that waited sealed`);
        break;
      case 'notification':
        if (entry.written !== true) break;
        this.#totals.notifications += 1;
        this.#say('magenta', 'notified', `${who}: ${entry.type}`);
        break;
      case 'email sent':
        this.#totals.emails += 1;
        this.#say('magenta', 'email', `${who}: ${entry.email}`);
        break;
      case 'migrated':
      case 'measured':
        break;
      default:
        if (entry.level !== 'DEBUG')
          this.#say(
            entry.level === 'INFO' ? 'gray' : 'red',
            stageOf(functionId),
            `${entry.message} ${fields(entry)}`,
          );
    }
  }

  #failed(entry: LogLine, who: string): void {
    const failureClass = String(entry.class) as 'transient' | 'permanent' | 'operator';
    this.#totals[failureClass] += 1;
    const status = entry.httpStatus == null ? '' : ` (HTTP ${entry.httpStatus})`;
    const count = {
      transient: `, ${entry.consecutiveTransientFailures} in a row`,
      permanent: `, ${entry.consecutiveFailures} in a row`,
      operator: ', nobody is blamed',
    }[failureClass];
    const then = entry.disconnected === true ? 'disconnected' : `again in ${entry.retryInSeconds} s`;
    const fix = entry.fix === undefined ? '' : ` ${entry.fix}`;
    this.#say(
      failureClass === 'transient' ? 'yellow' : 'red',
      'failed',
      `${who}: ${failureClass}, ${entry.code}${status}${count}; ${then}.${fix}`,
    );
  }

  /** The first state is no news unless it is an alarm. */
  #alarm({ name, description, from, to }: Extract<CloudEvent, { type: 'alarm' }>): void {
    const short = name.replace(/^[^:]*: /, '');
    const [sentence] = description.split(' Runbook: ');
    if (to === 'ALARM') this.#say('yellow', 'alarm', `${short}: ${sentence}`);
    else if (from === 'ALARM') this.#say('green', 'alarm', `${short}: over`);
  }

  #showRefreshed({ labels, durationsMs }: { labels: string[]; durationsMs: number[] }): void {
    const [first = ''] = labels;
    const longest = Math.max(...durationsMs);
    const whom = labels.length <= 3 ? labels.join(', ') : `${first} and ${labels.length - 1} others`;
    this.#say('green', 'refreshed', `${whom} (${labels.length > 1 ? 'up to ' : ''}${longest} ms)`);
  }

  #say(color: 'red' | 'yellow' | 'green' | 'cyan' | 'magenta' | 'gray', what: string, text: string): void {
    const footer = this.#footer;
    this.close();
    const time = new Date().toTimeString().slice(0, 8);
    const head = `${this.#styled('gray', time)}  ${this.#styled(color, what.padEnd(10))}`;
    this.#out.write(`${head} ${text}\n`);
    if (this.#live) this.#write(footer);
  }

  #showTotals(): void {
    if (!this.#live) return;
    const { scans, refreshed, transient, permanent, operator, notifications, emails } = this.#totals;
    const text = `Ctrl-C stops · ${scans} scans · ${refreshed} refreshed · failed ${transient}/${permanent}/${operator} · told ${notifications} · mailed ${emails}`;
    if (text !== this.#footer) {
      this.close();
      this.#write(text);
    }
  }

  #write(footer: string): void {
    this.#footer = footer;
    this.#out.write(this.#styled('gray', footer.slice(0, Math.max(20, this.#out.columns - 1))));
  }

  #styled(color: Parameters<typeof styleText>[0], text: string): string {
    return styleText(color, text, { stream: this.#out });
  }
}

function parse(line: string): LogLine | null {
  try {
    const value = JSON.parse(line) as LogLine;
    return typeof value?.message === 'string' ? value : null;
  } catch {
    return null;
  }
}

/** The template's logical ids begin with the stage: ScannerFunction7895B5B5. */
function stageOf(functionId: string): string {
  return functionId.replace(/Function[0-9A-F]*$/, '').toLowerCase();
}

function fields(entry: LogLine): string {
  const {
    level: _l,
    message: _m,
    timestamp: _t,
    service: _s,
    sampling_rate: _r,
    requestId: _i,
    ...rest
  } = entry;
  return JSON.stringify(rest);
}
