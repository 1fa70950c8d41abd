import type { Logger } from '../observability/logger.ts';
import type { Database, Transport } from '../postgres/database.ts';
import type { ServerFacts } from '../postgres/describe-server.ts';
import type { SecretSealer } from '../secret-sealer.ts';
import type { ProviderClients } from '../secrets/provider-clients.ts';
import type { Check } from './reports.ts';

/** What the checklist is gone through with. */
export interface VerifyParts {
  readonly database: Database & { readonly transport: Transport | null };
  readonly sealer: SecretSealer;
  readonly providers: ProviderClients;
  /** Names of the migrations of this version, in their order. */
  readonly migrations: () => Promise<readonly string[]>;
  readonly settings: {
    readonly scanIntervalSeconds: number;
    /** `null`: no sender is configured, so that only the app tells users. */
    readonly senderEmail: string | null;
    /** How long a statement is waited for. */
    readonly queryTimeoutMs: number;
  };
  readonly logger: Logger;
  /** Milliseconds until the function is killed. */
  readonly remainingMs: () => number;
}

/** What one look at a topic found. */
export interface Finding {
  readonly state: Check['state'];
  readonly found: string;
  readonly fix: string | null;
  /** Instead of the topic's, where it has several findings. */
  readonly title?: string;
}

/** One topic of the checklist. Finds one thing, or one for each fault. */
export interface Topic {
  /** Stable: scripts ask for it. */
  readonly code: string;
  readonly title: string;
  /** Throws what the database throws: the topic is then not checked, and the others go on. */
  readonly look: (parts: VerifyParts, server: ServerFacts) => Promise<Finding | readonly Finding[]>;
}

/** `advice`: nothing is wrong, and something could be better still. */
export const ok = (found: string, advice: string | null = null): Finding => ({
  state: 'ok',
  found,
  fix: advice,
});
export const warning = (found: string, fix: string): Finding => ({ state: 'warning', found, fix });
export const failed = (found: string, fix: string): Finding => ({ state: 'failed', found, fix });
export const notChecked = (found: string, fix: string | null): Finding => ({
  state: 'not_checked',
  found,
  fix,
});

/** "1 token", "3 tokens". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** An identifier as SQL writes it, for a statement that an operator is to run. */
export function identifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

export const runMigrator = 'Deploy this version again, or run npm run migrate -- up';
