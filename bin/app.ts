import { App } from 'aws-cdk-lib';
import { EvergrantStack } from '../lib/evergrant-stack.ts';
import { SettingsError, settingsFromContext } from '../lib/settings.ts';

const app = new App();
try {
  const settings = settingsFromContext(app.node.getAllContext());
  new EvergrantStack(app, 'Evergrant', { stackName: `evergrant-${settings.stage}`, settings });
  app.synth();
} catch (error) {
  if (!(error instanceof SettingsError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
