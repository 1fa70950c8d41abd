import { Logger } from '@aws-lambda-powertools/logger';

/** The real logger, which prints nothing. */
export function silentLogger(): Logger {
  return new Logger({ logLevel: 'SILENT' });
}
