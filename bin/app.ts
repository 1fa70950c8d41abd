import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { EvergrantStack } from '../lib/evergrant-stack.ts';
import { SettingsError, settingsFromContext } from '../lib/settings.ts';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
try {
  const settings = settingsFromContext(app.node.getAllContext());
  new EvergrantStack(app, 'Evergrant', { stackName: `evergrant-${settings.stage}`, settings });
  app.synth();
} catch (error) {
  if (!(error instanceof SettingsError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
