/** A grant that does not end, of a provider whose answers the product needs nothing of. */
export const endless = {
  authorizationLifetimeSeconds: null,
  kept: {},
  providerName: 'Acme Calendar',
} as const;

/** A failure of a provider that spends no token. */
export const certain = { doubtful: false, mayRotate: false } as const;

export const daySeconds = 86_400;

/** The settings that the statements about ends of grants take, with their defaults. */
export const lapsePolicy = {
  lapseWarningSeconds: 7 * daySeconds,
  restSeconds: daySeconds,
  eventRelayHoldSeconds: 360,
} as const;
