import { appendFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { CloudEvent } from './events.ts';

/** A file of what functions write. */
export interface LogFile {
  /** Appends a line of function output; other events are not for this file. */
  write(event: CloudEvent): void;
}

/** Opens a log file for appending, making its folder if need be. */
export function openLogFile(file: string): LogFile {
  mkdirSync(path.dirname(file), { recursive: true });
  return {
    write(event) {
      if (event.type !== 'function.log') return;
      const { functionId, requestId, line } = event;
      appendFileSync(file, `${new Date().toISOString()} ${functionId} ${requestId ?? '-'} ${line}\n`);
    },
  };
}
