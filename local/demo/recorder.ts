/** One promise of the system, and whether it was kept. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** The rows, emails and calls that show it; of a failed check also what was wrong. */
  readonly evidence: readonly string[];
}

/** Collects evidence while a check runs. */
export interface Evidence {
  note(text: string): void;
  /** Fails the check, with the evidence so far. */
  require(holds: boolean, otherwise: string): void;
}

/** The names of all checks, in the order in which they are told. */
export const checkNames = [
  'schema-applied',
  'refreshed-before-expiry',
  'rotation-stored',
  'sealed-result-kept',
  'first-failure-silent',
  'second-failure-warns',
  'third-failure-disconnects',
  'invalid-token-mails-at-once',
  'third-failure-mails',
  'rate-limit-informs',
  'recovers-alone',
  'operator-fault-blames-nobody',
  'no-retroactive-alerts',
  'duplicate-delivery',
  'overlapping-scans',
  'reconnect-wins',
  'short-lived-token-kept',
  'poison-isolated',
  'events-once',
  'nothing-leaks',
  'operator-answered',
  'rolls-back',
  'outage-is-one-alarm',
  'mass-refusal-held',
  'without-refresh-token-told',
  'lapse-warned',
  'least-privilege',
] as const;

export type CheckName = (typeof checkNames)[number];

/** Runs checks and keeps their results. A check that is never run, or never ends, counts as failed. */
export class Recorder {
  readonly #checks = new Map<CheckName, Check>();
  readonly #onCheck: (check: Check) => void;
  #closed = false;

  constructor(onCheck: (check: Check) => void) {
    this.#onCheck = onCheck;
  }

  /** Runs one check. Rejects when it fails, so that what builds on it does not run. */
  async check(name: CheckName, run: (evidence: Evidence) => Promise<void>): Promise<void> {
    const evidence: string[] = [];
    try {
      await run({
        note: (text) => void evidence.push(text),
        require: (holds, otherwise) => {
          if (!holds) throw new Error(otherwise);
        },
      });
      this.#keep({ name, ok: true, evidence });
    } catch (error) {
      this.#keep({ name, ok: false, evidence: [...evidence, `FAILED: ${(error as Error).message}`] });
      throw error;
    }
  }

  /** What ends from now on is not told: the system is being taken away from under it. */
  close(): void {
    this.#closed = true;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** All checks in their order, those that were never reached among them as failed. */
  results(): Check[] {
    return checkNames.map(
      (name) =>
        this.#checks.get(name) ?? {
          name,
          ok: false,
          evidence: ['FAILED: not reached: a check before it failed, or the demo was interrupted'],
        },
    );
  }

  #keep(check: Check & { readonly name: CheckName }): void {
    if (this.#closed) return;
    this.#checks.set(check.name, check);
    this.#onCheck(check);
  }
}
