import { OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';

/** How esbuild makes a function's bundle. */
export const bundling = {
  // An ES module that imports node:http is given all of its exports, and so loads all of fetch and WebSocket: 20 ms.
  format: OutputFormat.CJS,
  target: 'node24',
  mainFields: ['module', 'main'],
  minify: true,
};
