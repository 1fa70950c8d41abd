import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Json, JsonObject } from './json.ts';

/** A resource as the template spells it, intrinsics unresolved. */
export interface RawResource {
  Type: string;
  Properties?: JsonObject;
  Condition?: string;
  DependsOn?: string | string[];
}

/** A synthesized CloudFormation template. */
export interface RawTemplate {
  Resources: Record<string, RawResource>;
  Parameters?: Record<string, { Type: string; Default?: string }>;
  Conditions?: JsonObject;
  Mappings?: Record<string, Record<string, JsonObject>>;
  Outputs?: Record<string, { Value: Json; Condition?: string }>;
}

export interface Assembly {
  template: RawTemplate;
  /** Directory of each asset, by the S3 key that the template names it with. */
  assetDirs: Map<string, string>;
}

interface Manifest {
  artifacts: Record<
    string,
    {
      type: string;
      dependencies?: string[];
      properties?: { templateFile?: string; stackName?: string; file?: string };
    }
  >;
}

interface AssetManifest {
  files: Record<
    string,
    { source: { path?: string; packaging?: string }; destinations: Record<string, { objectKey: string }> }
  >;
}

/**
 * Reads one stack of a cloud assembly (`cdk.out`).
 * @throws Error when the directory is no assembly or has no such stack, with the names it has.
 */
export function readAssembly(assemblyDir: string, stackName: string): Assembly {
  const manifestFile = path.join(assemblyDir, 'manifest.json');
  if (!existsSync(manifestFile))
    throw new Error(`${assemblyDir} is no cloud assembly (no manifest.json): run cdk synth.`);
  const { artifacts } = readJson<Manifest>(manifestFile);
  const stacks = Object.entries(artifacts).filter(
    ([, artifact]) => artifact.type === 'aws:cloudformation:stack',
  );
  const stack = stacks.find(
    ([id, { properties }]) => id === stackName || properties?.stackName === stackName,
  );
  const templateFile = stack?.[1].properties?.templateFile;
  if (!stack || !templateFile) {
    throw new Error(
      `No stack "${stackName}" in ${assemblyDir}; it has ${stacks.map(([id]) => id).join(', ') || 'none'}.`,
    );
  }
  return {
    template: readJson<RawTemplate>(path.join(assemblyDir, templateFile)),
    assetDirs: assetDirectories(assemblyDir, artifacts, stack[1].dependencies ?? []),
  };
}

function assetDirectories(
  assemblyDir: string,
  artifacts: Manifest['artifacts'],
  dependencies: string[],
): Map<string, string> {
  const directories = new Map<string, string>();
  for (const id of dependencies) {
    const file = artifacts[id]?.type === 'cdk:asset-manifest' ? artifacts[id].properties?.file : undefined;
    if (!file) continue;
    for (const { source, destinations } of Object.values(
      readJson<AssetManifest>(path.join(assemblyDir, file)).files,
    )) {
      if (source.packaging !== 'zip' || !source.path) continue;
      for (const { objectKey } of Object.values(destinations)) {
        directories.set(objectKey, path.resolve(assemblyDir, source.path));
      }
    }
  }
  return directories;
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}
