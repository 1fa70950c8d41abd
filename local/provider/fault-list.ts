import { validateHeaderName, validateHeaderValue } from 'node:http';
import { InvalidInputError, requireInteger, requireRecord, requireText } from './invalid-input.ts';

/** An HTTP answer given in place of the provider's own. */
export interface FaultAnswer {
  status: number;
  headers?: Record<string, string>;
  /** An object is sent as JSON, a string as it is, nothing as an empty body. */
  body?: string | object;
}

/** A way for refresh calls to go wrong. It needs at least one of `delayMs`, `answer`, `reset`, `hang`. */
export interface Fault {
  id?: string;
  /** Only refreshes of this account's grants; absent: of all. */
  account?: string;
  /** How many refresh calls it applies to; absent: until removed. */
  times?: number;
  /** Wait before processing. The call is processed even if the client leaves meanwhile. */
  delayMs?: number;
  /** Answer this instead of processing. */
  answer?: FaultAnswer;
  /** Destroy the connection instead of answering. */
  reset?: true;
  /** Never answer; wait for the client to leave. */
  hang?: true;
  /** With `answer`, `reset` or `hang`: process first, so that the token rotates and its answer is lost. */
  afterProcessing?: boolean;
}

/** A fault in force. It leaves the list once `applied` reaches `times`. */
export interface ActiveFault extends Fault {
  id: string;
  /** Refresh calls that it was applied to. */
  applied: number;
}

const FAULT_FIELDS = ['id', 'account', 'times', 'delayMs', 'answer', 'reset', 'hang', 'afterProcessing'];
const ID_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_DELAY_MS = 24 * 60 * 60 * 1000;

/** The active faults of one provider, in order: a call gets the first one that matches, and only that. */
export class FaultList {
  #faults: ActiveFault[] = [];
  #lastNumber = 0;

  list(): ActiveFault[] {
    return this.#faults.map((fault) => ({ ...fault }));
  }

  /** Adds one at the end. Throws InvalidInputError. */
  add(fault: Fault): ActiveFault {
    const active = this.#activate(checkFault(fault, 'fault'), 'fault', this.#faults);
    this.#faults.push(active);
    return { ...active };
  }

  /** Replaces all; if one of them is invalid, nothing changes. Throws InvalidInputError. */
  replace(faults: Fault[]): ActiveFault[] {
    if (!Array.isArray(faults)) throw new InvalidInputError('faults', 'must be a JSON array of faults');
    const active: ActiveFault[] = [];
    for (const [index, fault] of faults.entries()) {
      const field = `faults[${index}]`;
      active.push(this.#activate(checkFault(fault, field), field, active));
    }
    this.#faults = active;
    return this.list();
  }

  /** Whether there was a fault of this id. */
  remove(id: string): boolean {
    const before = this.#faults.length;
    this.#faults = this.#faults.filter((fault) => fault.id !== id);
    return this.#faults.length < before;
  }

  clear(): void {
    this.#faults = [];
  }

  /** The fault for the next refresh call of `account` (null: unknown), counted as applied. */
  take(account: string | null): ActiveFault | undefined {
    const fault = this.#faults.find(({ account: only }) => only === undefined || only === account);
    if (!fault) return undefined;
    fault.applied += 1;
    if (fault.applied === fault.times) this.remove(fault.id);
    return fault;
  }

  #activate(fault: Fault, field: string, others: ActiveFault[]): ActiveFault {
    const taken = (id: string) => others.some((other) => other.id === id);
    if (fault.id !== undefined && taken(fault.id)) {
      throw new InvalidInputError(`${field}.id`, `is used by another fault; choose another or leave it out`);
    }
    let id = fault.id;
    while (id === undefined || (fault.id === undefined && taken(id))) {
      this.#lastNumber += 1;
      id = `fault-${this.#lastNumber}`;
    }
    return { ...fault, id, applied: 0 };
  }
}

function checkFault(value: unknown, field: string): Fault {
  const input = requireRecord(value, field, FAULT_FIELDS);
  const fault: Fault = {};
  if (input.id !== undefined) {
    if (typeof input.id !== 'string' || !ID_PATTERN.test(input.id)) {
      throw new InvalidInputError(
        `${field}.id`,
        'must be 1 to 64 letters, digits, dots, dashes or underscores',
      );
    }
    fault.id = input.id;
  }
  if (input.account !== undefined) fault.account = requireText(input.account, `${field}.account`);
  if (input.times !== undefined) {
    fault.times = requireInteger(input.times, `${field}.times`, 1, Number.MAX_SAFE_INTEGER);
  }
  if (input.delayMs !== undefined) {
    fault.delayMs = requireInteger(input.delayMs, `${field}.delayMs`, 0, MAX_DELAY_MS);
  }
  if (input.answer !== undefined) fault.answer = checkAnswer(input.answer, `${field}.answer`);
  if (input.reset !== undefined) fault.reset = requireTrue(input.reset, `${field}.reset`);
  if (input.hang !== undefined) fault.hang = requireTrue(input.hang, `${field}.hang`);

  const endings = [fault.answer, fault.reset, fault.hang].filter((ending) => ending !== undefined).length;
  if (endings > 1) throw new InvalidInputError(field, 'must have only one of answer, reset and hang');
  if (endings === 0 && fault.delayMs === undefined) {
    throw new InvalidInputError(field, 'must have at least one of delayMs, answer, reset and hang');
  }
  if (input.afterProcessing !== undefined) {
    if (typeof input.afterProcessing !== 'boolean') {
      throw new InvalidInputError(`${field}.afterProcessing`, 'must be true or false');
    }
    if (input.afterProcessing && endings === 0) {
      throw new InvalidInputError(
        `${field}.afterProcessing`,
        'needs one of answer, reset and hang beside it',
      );
    }
    fault.afterProcessing = input.afterProcessing;
  }
  return fault;
}

function checkAnswer(value: unknown, field: string): FaultAnswer {
  const input = requireRecord(value, field, ['status', 'headers', 'body']);
  const answer: FaultAnswer = { status: requireInteger(input.status, `${field}.status`, 200, 599) };
  if (input.headers !== undefined) answer.headers = checkHeaders(input.headers, `${field}.headers`);
  if (input.body !== undefined) {
    if (typeof input.body !== 'string' && (typeof input.body !== 'object' || input.body === null)) {
      throw new InvalidInputError(`${field}.body`, 'must be a string or a JSON object');
    }
    answer.body = input.body;
  }
  return answer;
}

function checkHeaders(value: unknown, field: string): Record<string, string> {
  const headers: Record<string, string> = {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInputError(field, 'must be a JSON object of strings, such as {"retry-after": "30"}');
  }
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new InvalidInputError(`${field}.${name}`, 'must be a string');
    try {
      validateHeaderName(name);
      validateHeaderValue(name, text);
    } catch {
      throw new InvalidInputError(`${field}.${name}`, 'must be a valid HTTP header (RFC 9110 section 5)');
    }
    headers[name] = text;
  }
  return headers;
}

function requireTrue(value: unknown, field: string): true {
  if (value !== true) throw new InvalidInputError(field, 'must be true, or left out');
  return true;
}
