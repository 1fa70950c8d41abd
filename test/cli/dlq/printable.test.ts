import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationText, printableBody } from '../../../cli/dlq/printable.ts';

const shown = (body: string) => printableBody({ body, problem: 'not ours' });

describe('the body of somebody else', () => {
  it.each([
    ['{"access_token":"canary"}'],
    ['{"refreshToken": "canary word"}'],
    ['{"client_secret":"can\\"ary"}'],
    ["{'password': 'canary'}"],
    ['{"Message":"{\\"token\\":\\"canary\\"}"}'],
    ['grant_type=refresh_token&refresh_token=canary&client_id=x'],
    ['Authorization: Bearer canary'],
    ['authorization: basic canary'],
    ['curl -H "authorization: Bearer canary" https://example.com'],
    ['{"api_key": canary}'],
    ['ya29.canaryCanaryCanary0123'],
    ['eyJhbGciOiJkaXIifQ..canary.canary.canary'],
    ['"code": "canary"'],
    ['{"token":"canary'],
  ])('is shown without its secrets: %s', (body) => {
    expect(shown(body)).not.toContain('canary');
    expect(shown(body)).toContain('«');
  });

  it.each([
    'hello world',
    '',
    '{"version":2,"integrationId":"0b5e8f5c-1df4-4a5c-9a4e-6d4f8f1f4b11"}',
    '2026-11-23T20:00:00.000Z something happened',
    '[1, 2, 3]',
  ])('is shown as it is where nothing looks secret: %s', (body) => {
    expect(shown(body)).toBe(body);
  });

  it('never shows a token, wherever it stands and wherever the body is cut', () => {
    const token = fc.stringMatching(/^[\w.~+/-]{20,200}$/).filter((text) => !/^[\da-f-]{36}$/i.test(text));
    const filler = fc.string({ maxLength: 60 });
    fc.assert(
      fc.property(
        filler,
        token,
        filler,
        fc.nat(4_100),
        fc.constantFrom(' ', '\n', '{', 'ä '),
        (before, secret, after, padding, pad) => {
          const body = `${pad.repeat(padding)}${before} "${secret}" ${after}`;
          const printed = shown(body);
          expect(printed).not.toContain(secret);
          expect(printed.length).toBeLessThan(4_000);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is cut, and says how long it was', () => {
    expect(shown('ab '.repeat(400))).toMatch(/^(ab )+ab?… \(1200 characters in all\)$/);
    expect(shown('ab '.repeat(400)).length).toBeLessThan(540);
    expect(shown(`${'x'.repeat(5_000)}`)).toMatch(/^… \(5000 characters in all\)$/);
  });

  it('takes no time, however long and odd', () => {
    for (const unit of ['a', 'token', '"token":"', '\\"', 'token=', 'Bearer ', 'a.b-']) {
      const body = unit.repeat(Math.floor(1_000_000 / unit.length));
      const startedAt = process.cpuUsage().user;
      shown(body);
      expect((process.cpuUsage().user - startedAt) / 1_000).toBeLessThan(1_000);
    }
  });

  it('steers no terminal', () => {
    expect(shown('\u001b]0;title\u0007 \u202e evil')).toBe('\\u001b]0;title\\u0007 \\u202e evil');
  });
});

describe('our own body', () => {
  const own = { version: 1, integrationId: '0b5e8f5c-1df4-4a5c-9a4e-6d4f8f1f4b11' };

  it('is shown as it is, whatever the provider is called', () => {
    const body = JSON.stringify({ ...own, provider: 'a-provider-with-quite-a-long-name-2' });
    expect(printableBody({ body, problem: null })).toBe(body);
  });

  it('is not trusted with fields that we do not write', () => {
    const body = JSON.stringify({ ...own, refresh_token: 'canary' });
    expect(printableBody({ body, problem: null })).not.toContain('canary');
    expect(printableBody({ body, problem: null })).toContain(own.integrationId);
  });
});

it.each([
  [-5, '0 s'],
  [59_400, '59 s'],
  [60_000, '1 min'],
  [3_600_000, '1 h'],
  [3_600_000 * 3 + 60_000 * 12, '3 h 12 min'],
  [3_600_000 * 47, '47 h'],
  [3_600_000 * 48, '2 d'],
  [86_400_000 * 14, '14 d'],
])('%d ms is %s', (durationMs, text) => {
  expect(durationText(durationMs)).toBe(text);
});
