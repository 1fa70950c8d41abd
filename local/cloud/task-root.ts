import { cpSync, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import os from 'node:os';
import path from 'node:path';

/** Where bundles run from: copies outside the checkout, so that they find only what Lambda would give them. */
export interface TaskRoots {
  /** Directory that a bundle runs in. */
  of(assetDir: string): string;
  remove(): Promise<void>;
}

/** Packages that Lambda's Node runtime brings along; CDK leaves them out of a bundle. */
const RUNTIME_SCOPES = ['@aws-sdk', '@smithy'];

/** Makes a private temp folder for the bundles of one local cloud. */
export function createTaskRoots(): TaskRoots {
  const root = mkdtempSync(path.join(os.tmpdir(), 'evergrant-lambda-'));
  const sdk = findPackageJSON('@aws-sdk/client-sqs', import.meta.url);
  if (sdk) {
    const installed = path.resolve(path.dirname(sdk), '../..');
    mkdirSync(path.join(root, 'node_modules'));
    for (const scope of RUNTIME_SCOPES)
      symlinkSync(path.join(installed, scope), path.join(root, 'node_modules', scope));
  }
  const copies = new Map<string, string>();
  return {
    of(assetDir) {
      let copy = copies.get(assetDir);
      if (!copy) {
        copy = path.join(root, path.basename(assetDir));
        cpSync(assetDir, copy, { recursive: true });
        copies.set(assetDir, copy);
      }
      return copy;
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
