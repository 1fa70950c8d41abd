import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { failureCodes, isFailureCode, sentencesOf } from '../../../lambdas/domain/failure-codes.ts';
import { catalogue } from '../../../lambdas/providers/catalogue.ts';

const entries = Object.entries(failureCodes);

describe('the sentences of a code', () => {
  it.each(entries)('%s: are whole, and nothing of ours stands in the user’s', (code, { user, operator }) => {
    expect(code).toMatch(/^[a-z][a-z0-9_]{0,63}$/);
    for (const sentence of [user, operator]) {
      expect(sentence).toMatch(/^[A-Z{].*\.$/);
      expect(sentence).not.toMatch(/\s\s|undefined|\.\./);
    }
    expect(user.length).toBeLessThanOrEqual(240);
    expect(user).not.toMatch(/OAuth|token|grant|client|HTTP|endpoint|secret|refresh|scope|revoke/i);
    expect(user.replaceAll('{provider}', '')).not.toMatch(/[{}]/);
    expect(operator).not.toMatch(/[{}]/);
  });

  it('are there for any code, by its class where nobody knows it', () => {
    expect(sentencesOf('invalid_grant', 'permanent')).toBe(failureCodes.invalid_grant);
    expect(sentencesOf('http_404', 'operator')).toBe(failureCodes.http_404);
    expect(sentencesOf('http_409', 'transient')).toBe(failureCodes.http_4xx);
    expect(sentencesOf('http_503', 'transient')).toBe(failureCodes.http_5xx);
    expect(sentencesOf('made_up', 'transient')).toBe(failureCodes.temporarily_unavailable);
    expect(sentencesOf('made_up', 'permanent')).toBe(failureCodes.grant_refused);
    expect(sentencesOf('made_up', 'operator')).toBe(failureCodes.request_refused);
    for (const code of ['constructor', '__proto__', 'toString', '']) {
      expect(isFailureCode(code)).toBe(false);
      expect(sentencesOf(code, 'operator')).toBe(failureCodes.request_refused);
    }
  });
});

describe('every code that this system gives', () => {
  const root = path.join(import.meta.dirname, '../../../lambdas');
  const texts = ['providers', 'secrets', 'refresher']
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { encoding: 'utf8', recursive: true }).map((file) =>
        path.join(root, folder, file),
      ),
    )
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');

  it('is known here: those of outcomes and of lookups', () => {
    const given = [...texts.matchAll(/\b(?:code: |fail\('\w+', )'([a-z_0-9]+)'/g)].map(
      (match) => match[1] as string,
    );
    expect(given).toEqual(
      expect.arrayContaining([
        'provider_not_configured',
        'refresh_token_damaged',
        'malformed_response',
        'redirected',
      ]),
    );
    expect(given.filter((code) => !isFailureCode(code))).toEqual([]);
  });

  it('is known here: those of the catalogue’s rules', () => {
    const given = Object.values(catalogue).flatMap(({ errorRules = [] }) =>
      errorRules.map(({ code }) => code),
    );
    expect(given.filter((code) => code !== undefined && !isFailureCode(code))).toEqual([]);
  });
});
