import { OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';

/** How esbuild makes a function's bundle. */
export const bundling = {
  // An ES module that imports node:http is given all of its exports, and so loads all of fetch and WebSocket: 20 ms.
  format: OutputFormat.CJS,
  target: 'node24',
  mainFields: ['module', 'main'],
  minify: true,
};

/** Modules of the project that stand in a bundle for what a dependency would bring, by the name that it imports. */
export const replacements = {
  '@aws-sdk/credential-provider-node': './lambdas/aws-credentials.ts',
};
