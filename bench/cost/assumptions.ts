/** One thing that was not measured, and what is taken for it. */
interface Assumption {
  readonly value: number;
  readonly unit: string;
  readonly why: string;
}

const table = {
  hoursPerMonth: { value: 720, unit: 'hours in a month', why: 'a month of 30 days' },
  providers: {
    value: 10,
    unit: 'providers',
    why: 'each has a secret and metrics of its own',
  },
  coreSlowdown: {
    value: 1.5,
    unit: 'times the CPU time measured here, on a whole core of Lambda (arm64)',
    why: 'not measured: a margin for a slower core',
  },
  memoryMbOfOneCore: {
    value: 1_769,
    unit: 'MB of memory to one vCPU',
    why: 'Lambda gives CPU in proportion to memory: 512 MB are 0.29 vCPU, so CPU work takes 3.5 times as long',
  },
  newConnectionShare: {
    value: 1,
    unit: 'new TLS connections per call to a token endpoint',
    why: 'the upper bound: calls of one invocation run at once, and idle connections do not outlive a pause between scans',
  },
  typicalCallMs: {
    value: 200,
    unit: 'ms for a call to a token endpoint',
    why: 'also what was measured with',
  },
  slowCallMs: { value: 1_000, unit: 'ms for a slow call', why: 'a batch lasts as long as its slowest call' },
  slowShare: {
    value: 0.01,
    unit: 'of all calls are slow',
    why: 'as a 99th percentile of five times the median',
  },
  statementMs: { value: 5, unit: 'ms for a statement', why: 'Postgres in the same region, through a pooler' },
  sqsMs: { value: 20, unit: 'ms for an SQS request', why: 'in the same region' },
  secretMs: { value: 30, unit: 'ms for a read of a secret', why: 'in the same region' },
  emailMs: { value: 100, unit: 'ms for an email', why: 'SES in the same region' },
  transientShare: {
    value: 0.005,
    unit: 'of all refreshes fail transiently and are tried again',
    why: 'time-outs, 429 and 5xx in ordinary weeks',
  },
  deadGrantShare: {
    value: 0.01,
    unit: 'of all integrations lose their grant in a month',
    why: 'users revoke, leave or change passwords; each gets one email',
  },
  pollersPerQueue: {
    value: 5,
    unit: 'pollers per queue, which Lambda runs all the time',
    why: 'where a maximum concurrency is set, Lambda does not reduce them',
  },
  pollSeconds: { value: 20, unit: 's for an empty receive', why: 'the longest poll there is' },
  emptyReceiveMs: {
    value: 1_000,
    unit: 'ms for the question of a scan whether sealed results wait',
    why: 'the time that it waits for one, before it claims',
  },
  platformLogBytes: {
    value: 350,
    unit: "bytes of Lambda's own three log lines per invocation",
    why: 'START, END and REPORT',
  },
  logLineOverheadBytes: { value: 26, unit: 'bytes beside each log line', why: 'as PutLogEvents counts them' },
  longerTokenBytes: {
    value: 1_000,
    unit: 'bytes that the tokens of a grant are longer than those here',
    why: 'the local providers issue opaque tokens of 43 characters; many issue JWTs',
  },
  bloat: {
    value: 2,
    unit: 'times the size that rows have when freshly written',
    why: 'each hour leaves dead versions, which vacuum makes room for again',
  },
  minimumAcu: {
    value: 0.5,
    unit: 'ACU at least',
    why: 'the smallest that serves; 0 would pause, and scans forbid that',
  },
  gibPerAcu: { value: 2, unit: 'GiB of memory to one ACU', why: 'Aurora Serverless v2' },
  cacheShare: {
    value: 0.75,
    unit: 'of the memory keeps pages',
    why: 'every row is touched each hour, so the table should fit',
  },
  vcpuPerAcu: {
    value: 0.25,
    unit: 'vCPU to one ACU',
    why: 'as the provisioned classes have: 8 GiB to one vCPU',
  },
  databaseCpuShare: {
    value: 0.5,
    unit: 'of the CPU in use on average',
    why: 'work comes in bursts after each scan',
  },
  ioBytes: {
    value: 4_096,
    unit: 'bytes of write-ahead log to one billed write',
    why: 'Aurora; joined writes are not reckoned with',
  },
  natGateways: {
    value: 2,
    unit: 'NAT gateways',
    why: "one in each of two availability zones, Aurora's minimum",
  },
} satisfies Record<string, Assumption>;

export type AssumptionId = keyof typeof table;
export const assumptionTable: Readonly<Record<AssumptionId, Assumption>> = table;

/** The values alone, for the model; a lever changes some of them. */
export type Assumptions = Readonly<Record<AssumptionId, number>>;
export const assumptions = Object.fromEntries(
  Object.entries(table).map(([id, { value }]) => [id, value]),
) as Assumptions;
