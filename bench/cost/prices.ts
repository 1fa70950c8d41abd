/**
 * List prices of us-east-1 in US dollars, as data. Which are second-hand is said in the page: the vendor's own page
 * was not readable when they were collected, and several others agreed.
 */
export const pricesCollectedOn = '2026-11-23';

/** A price that falls with the quantity: the first tier up to `upTo` units, and so on; the last has no end. */
export interface Tier {
  readonly upTo: number;
  readonly usd: number;
}

export interface Price {
  readonly name: string;
  /** What one unit is. */
  readonly unit: string;
  /** Per unit; with tiers, of the first. */
  readonly usd: number;
  readonly tiers?: readonly Tier[];
  /** Units a month that an account gets for nothing. */
  readonly free: number;
  readonly source: string;
  readonly secondHand: boolean;
}

const million = 1_000_000;
const agentToolkit = 'github.com/aws/agent-toolkit-for-aws';
const priceList = `AWS price-list API, quoted by a public repository; ${agentToolkit}`;
const several = 'several public pages agree';

const table = {
  lambdaGbSeconds: {
    name: 'Lambda, arm64, duration',
    unit: 'GB-s',
    usd: 0.0000133334,
    free: 400_000,
    source: several,
    secondHand: true,
  },
  lambdaRequests: {
    name: 'Lambda requests',
    unit: 'request',
    usd: 0.2 / million,
    free: million,
    source: 'aws.amazon.com/lambda/pricing',
    secondHand: false,
  },
  sqsRequests: {
    name: 'SQS standard requests (64 KB each)',
    unit: 'request',
    usd: 0.4 / million,
    free: million,
    source: several,
    secondHand: true,
  },
  logsIngested: {
    name: 'CloudWatch Logs, ingestion',
    unit: 'GB',
    usd: 0.5,
    free: 5,
    source: priceList,
    secondHand: false,
  },
  logsStored: {
    name: 'CloudWatch Logs, storage',
    unit: 'GB-month',
    usd: 0.03,
    free: 0,
    source: priceList,
    secondHand: false,
  },
  customMetrics: {
    name: 'CloudWatch custom metrics',
    unit: 'metric-month',
    usd: 0.3,
    tiers: [
      { upTo: 10_000, usd: 0.3 },
      { upTo: 250_000, usd: 0.1 },
      { upTo: million, usd: 0.05 },
      { upTo: Number.POSITIVE_INFINITY, usd: 0.02 },
    ],
    free: 10,
    source: priceList,
    secondHand: false,
  },
  alarmMetrics: {
    name: 'CloudWatch alarms, each metric in one',
    unit: 'alarm-metric-month',
    usd: 0.1,
    free: 10,
    source: 'aws.amazon.com/cloudwatch/pricing',
    secondHand: false,
  },
  compositeAlarms: {
    name: 'CloudWatch composite alarms',
    unit: 'alarm-month',
    usd: 0.5,
    free: 0,
    source: priceList,
    secondHand: false,
  },
  dashboards: {
    name: 'CloudWatch dashboards',
    unit: 'dashboard-month',
    usd: 3,
    free: 3,
    source: several,
    secondHand: true,
  },
  emails: {
    name: 'SES',
    unit: 'email',
    usd: 0.1 / 1000,
    free: 0,
    source: several,
    secondHand: true,
  },
  secrets: {
    name: 'Secrets Manager secrets',
    unit: 'secret-month',
    usd: 0.4,
    free: 0,
    source: several,
    secondHand: true,
  },
  secretReads: {
    name: 'Secrets Manager calls',
    unit: 'call',
    usd: 0.05 / 10_000,
    free: 0,
    source: several,
    secondHand: true,
  },
  dataOut: {
    name: 'Data transfer to the internet',
    unit: 'GB',
    usd: 0.09,
    tiers: [
      { upTo: 10_000, usd: 0.09 },
      { upTo: 50_000, usd: 0.085 },
      { upTo: 150_000, usd: 0.07 },
      { upTo: Number.POSITIVE_INFINITY, usd: 0.05 },
    ],
    free: 100,
    source: 'egresscost.com/aws and other public pages',
    secondHand: true,
  },
  acuHours: {
    name: 'Aurora Serverless v2, standard',
    unit: 'ACU-h',
    usd: 0.12,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  acuHoursIoOptimized: {
    name: 'Aurora Serverless v2, I/O-optimized',
    unit: 'ACU-h',
    usd: 0.156,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  auroraStorage: {
    name: 'Aurora storage, standard',
    unit: 'GiB-month',
    usd: 0.1,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  auroraStorageIoOptimized: {
    name: 'Aurora storage, I/O-optimized',
    unit: 'GiB-month',
    usd: 0.225,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  auroraIos: {
    name: 'Aurora I/O, standard',
    unit: 'I/O',
    usd: 0.2 / million,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  natHours: {
    name: 'NAT gateway',
    unit: 'gateway-hour',
    usd: 0.045,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  natBytes: {
    name: 'NAT gateway, data',
    unit: 'GB',
    usd: 0.045,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
  publicAddressHours: {
    name: 'Public IPv4 address (one per NAT gateway)',
    unit: 'address-hour',
    usd: 0.005,
    free: 0,
    source: agentToolkit,
    secondHand: false,
  },
} satisfies Record<string, Price>;

export type PriceId = keyof typeof table;
export type Prices = Readonly<Record<PriceId, Price>>;
export const prices: Prices = table;

/** What a quantity costs before any free tier. */
export function costUsd({ usd, tiers }: Price, quantity: number): number {
  if (!tiers) return quantity * usd;
  let total = 0;
  let from = 0;
  for (const tier of tiers) {
    total += Math.max(0, Math.min(quantity, tier.upTo) - from) * tier.usd;
    from = tier.upTo;
  }
  return total;
}
