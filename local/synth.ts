import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const projectRoot = path.join(import.meta.dirname, '..');

/** A synthesized stack: what CloudFormation would get, and what `local/cloud` runs. */
export interface Assembly {
  readonly assemblyDir: string;
  /** Id of the stack inside the assembly. */
  readonly stackName: string;
}

/**
 * Synthesizes the stack with `bin/app.ts`, as `cdk deploy` does, in a process of its own. `settings` stand for
 * `-c name=value`. Rejects with what the app wrote when it refuses.
 */
export async function synthesize(
  assemblyDir: string,
  settings: Readonly<Record<string, string | number | boolean>>,
): Promise<Assembly> {
  const { context } = JSON.parse(await readFile(path.join(projectRoot, 'cdk.json'), 'utf8')) as {
    context: object;
  };
  await rm(assemblyDir, { recursive: true, force: true });
  try {
    await promisify(execFile)(process.execPath, ['bin/app.ts'], {
      cwd: projectRoot,
      env: {
        ...process.env,
        CDK_OUTDIR: assemblyDir,
        CDK_CONTEXT_JSON: JSON.stringify({ ...context, ...settings }),
      },
      maxBuffer: 16 * 1024 * 1024,
    });
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    throw new Error(`The stack cannot be synthesized:\n${stderr.trim() || message}`, { cause: error });
  }
  return { assemblyDir, stackName: 'Evergrant' };
}
