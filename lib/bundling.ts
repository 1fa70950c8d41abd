import { OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';

/** How esbuild makes a function's bundle. */
export const bundling = {
  format: OutputFormat.ESM,
  target: 'node24',
  mainFields: ['module', 'main'],
  minify: true,
  // For CommonJS dependencies inside an ES module.
  banner: "import{createRequire as __cr}from'node:module';const require=__cr(import.meta.url);",
};
