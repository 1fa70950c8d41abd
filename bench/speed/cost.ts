import { readMeasured } from '../cost/measured.ts';
import type { Measure } from './measure.ts';

export const refreshCost: Measure = {
  name: 'cost',
  key: 'costPerMillionUsd',
  what: 'what a million refreshes cost on AWS with an existing Postgres, computed as docs/cost.md is',
  unit: '$',
  goal: null,
  async run() {
    // The CDK takes seconds to load.
    const { figuresOf, sizes } = await import('../cost/figures.ts');
    const measured = await readMeasured();
    const { costPerMillionUsd, estimates } = await figuresOf(measured);
    return {
      value: costPerMillionUsd,
      spread: null,
      facts: {
        costPerMillionUsdByIntegrations: Object.fromEntries(
          sizes.map((size, index) => [size, estimates.existing[index]?.costPerMillionUsd]),
        ),
        measuredOn: measured.date,
      },
    };
  },
};
