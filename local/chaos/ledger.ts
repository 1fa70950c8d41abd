import type { FaultKind } from './plan.ts';
import type { FunctionProcess, Invocation } from './processes.ts';

/** A grant, from its authorization to its end, with every token that was ever issued for it. */
export interface Grant {
  readonly integrationId: string;
  readonly provider: string;
  /** How long a spent token is taken all the same; 0: never. */
  readonly graceMs: number;
  revokedByUser: boolean;
  /** The provider ended it because a spent token was presented. */
  revokedForReuse: boolean;
  underWay: TokenCall[];
}

/** A refresh token, and what became of it. */
export interface IssuedToken {
  readonly grant: Grant;
  /** `null`: by the authorization. */
  readonly issuedBy: TokenCall | null;
  /** Calls that it was exchanged in; more than one only within a grace. */
  readonly spentBy: TokenCall[];
  spentAtMs: number | null;
}

/** One call as the provider saw it. */
export interface TokenCall {
  readonly number: number;
  readonly provider: string;
  /** What was presented; `null`: it was never issued here. */
  readonly token: IssuedToken | null;
  /** That of the token. */
  readonly grant: Grant | null;
  /** `null`: the harness itself. */
  readonly process: FunctionProcess | null;
  readonly invocation: Invocation | null;
  readonly arrivedAtMs: number;
  /** When the token was spent; `null`: it was not. */
  processedAtMs: number | null;
  /** When the last byte of the answer was handed over to the network; `null`: there was none. */
  answeredAtMs: number | null;
  /** When the caller was no longer connected, before the answer was complete. */
  leftAtMs: number | null;
  /** What the caller could learn: new tokens, a refusal of the grant, or something that says nothing about it. */
  answer: 'refreshed' | 'refused' | 'passing' | 'none';
  reuse: boolean;
  /** The call of the same grant that was still under way when this one came. */
  overlaps: TokenCall | null;
  fault: FaultKind | null;
}

/** Every token that the providers of a run ever issued. */
export class Ledger {
  readonly calls: TokenCall[] = [];
  readonly #tokens = new Map<string, IssuedToken>();
  /** Everything that must never be seen outside: refresh tokens, access tokens, the secrets of our client. */
  readonly secrets = new Set<string>();

  issue(token: string, grant: Grant, issuedBy: TokenCall | null): void {
    this.secrets.add(token);
    this.#tokens.set(token, { grant, issuedBy, spentBy: [], spentAtMs: null });
  }

  token(text: string): IssuedToken | undefined {
    return this.#tokens.get(text);
  }

  begin(
    call: Pick<TokenCall, 'provider' | 'token' | 'process' | 'invocation'>,
    arrivedAtMs: number,
  ): TokenCall {
    const begun: TokenCall = {
      ...call,
      grant: call.token?.grant ?? null,
      number: this.calls.length,
      arrivedAtMs,
      processedAtMs: null,
      answeredAtMs: null,
      leftAtMs: null,
      answer: 'none',
      reuse: false,
      overlaps: null,
      fault: null,
    };
    this.calls.push(begun);
    return begun;
  }

  /** How many grants there are of integrations, each counted as often as its user connected. */
  get grants(): number {
    return new Set([...this.#tokens.values()].map(({ grant }) => grant)).size;
  }
}
