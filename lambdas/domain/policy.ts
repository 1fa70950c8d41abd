/** Notification types that Evergrant adds to a product's `notifications` table. */
export type NotificationType = 'integration_warning' | 'integration_disconnected' | 'integration_rate_limit';

/** `reconnect`: the provider calls the grant dead, we go on trying. `disconnected`: we stopped. */
export type EmailKind = 'reconnect' | 'disconnected';

/** How many consecutive failures lead to what. */
export interface PolicySettings {
  /** Consecutive permanent failures at which the user is warned in the app. */
  readonly warningThreshold: number;
  /** Consecutive permanent failures at which the integration is disconnected. */
  readonly disconnectThreshold: number;
  /** Consecutive transient failures at which the user is informed in the app. */
  readonly rateLimitThreshold: number;
  /** Disconnect on the first invalid refresh token instead of counting on. */
  readonly disconnectOnInvalidRefreshToken: boolean;
}

export const defaultPolicy: PolicySettings = {
  warningThreshold: 2,
  disconnectThreshold: 3,
  rateLimitThreshold: 5,
  disconnectOnInvalidRefreshToken: false,
};

/**
 * What happens when a failure takes its counter to a value from `fromCount` to `toCount`. The statement
 * that moves the counter looks the step up, so that the counter is always the row's own and the decision
 * always this policy's. At most one step fits a failure.
 */
export interface ThresholdStep {
  readonly failureClass: 'transient' | 'permanent';
  readonly invalidRefreshToken: boolean;
  readonly fromCount: number;
  /** `null`: and every count above. */
  readonly toCount: number | null;
  readonly notification: NotificationType | null;
  /** Sent only if no email has gone out in the same episode. */
  readonly email: EmailKind | null;
  readonly disconnects: boolean;
}

/** The policy as steps. Throws `RangeError` naming the setting when the thresholds contradict each other. */
export function thresholdSteps(settings: PolicySettings): ThresholdStep[] {
  const { warningThreshold, disconnectThreshold, rateLimitThreshold } = settings;
  for (const [name, value] of Object.entries({ warningThreshold, disconnectThreshold, rateLimitThreshold })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number from 1 up, but is ${value}`);
    }
  }
  if (warningThreshold >= disconnectThreshold) {
    throw new RangeError(
      `warningThreshold (${warningThreshold}) must be below disconnectThreshold (${disconnectThreshold}): a warning after the disconnection helps nobody`,
    );
  }
  return [
    ...permanentSteps(settings),
    ...invalidRefreshTokenSteps(settings),
    {
      failureClass: 'transient',
      invalidRefreshToken: false,
      fromCount: rateLimitThreshold,
      toCount: rateLimitThreshold,
      notification: 'integration_rate_limit',
      email: null,
      disconnects: false,
    },
  ];
}

function permanentSteps({ warningThreshold, disconnectThreshold }: PolicySettings): ThresholdStep[] {
  const base = { failureClass: 'permanent', invalidRefreshToken: false } as const;
  return [
    {
      ...base,
      fromCount: warningThreshold,
      toCount: warningThreshold,
      notification: 'integration_warning',
      email: null,
      disconnects: false,
    },
    {
      ...base,
      fromCount: disconnectThreshold,
      toCount: null,
      notification: 'integration_disconnected',
      email: 'disconnected',
      disconnects: true,
    },
  ];
}

function invalidRefreshTokenSteps(settings: PolicySettings): ThresholdStep[] {
  const base = { failureClass: 'permanent', invalidRefreshToken: true } as const;
  const disconnectFrom = settings.disconnectOnInvalidRefreshToken ? 1 : settings.disconnectThreshold;
  const steps: ThresholdStep[] = [];
  for (let count = 1; count < disconnectFrom; count += 1) {
    steps.push({
      ...base,
      fromCount: count,
      toCount: count,
      notification: count === settings.warningThreshold ? 'integration_warning' : null,
      email: 'reconnect',
      disconnects: false,
    });
  }
  steps.push({
    ...base,
    fromCount: disconnectFrom,
    toCount: null,
    notification: 'integration_disconnected',
    email: 'disconnected',
    disconnects: true,
  });
  return steps;
}
