import { Signer } from '@aws-sdk/rds-signer';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkToken } from '../../../local/cloud/iam-token.ts';

const purpose = { host: 'localhost', port: 5433, user: 'postgres' };
const credentials = { accessKeyId: 'LOCALscanner', secretAccessKey: 'local', sessionToken: 'local' };

interface Signing {
  host?: string;
  port?: number;
  user?: string;
  region?: string;
  credentials?: typeof credentials;
}

/** A token as a function makes it. */
const sign = (signing: Signing = {}) =>
  new Signer({
    hostname: signing.host ?? purpose.host,
    port: signing.port ?? purpose.port,
    username: signing.user ?? purpose.user,
    region: signing.region ?? 'us-east-1',
    credentials: { ...credentials, ...signing.credentials },
  }).getAuthToken();

const minutes = (count: number) => Date.now() + count * 60_000;

it.each(['postgres', 'app role/é "1"!*'])('lets in who made it for the role %s', async (user) => {
  expect(checkToken(await sign({ user }), { ...purpose, user }, Date.now())).toEqual({
    ok: true,
    callerId: 'scanner',
  });
});

describe('is refused', () => {
  it.each<[string, Signing, string]>([
    ['for another host', { host: '127.0.0.1' }, 'the token is for another host or port'],
    ['for another port', { port: 5434 }, 'the token is for another host or port'],
    ['for another role', { user: 'admin' }, 'the token has another DBUser'],
    ['of another region', { region: 'eu-west-1' }, 'the credential of the token has another scope'],
    [
      'with another secret',
      { credentials: { ...credentials, secretAccessKey: 'guessed' } },
      'the signature of the token is wrong',
    ],
    [
      'of another session',
      { credentials: { ...credentials, sessionToken: 'stolen' } },
      'the token has another X-Amz-Security-Token',
    ],
    [
      'of nobody here',
      { credentials: { ...credentials, accessKeyId: 'AKIAIOSFODNN7EXAMPLE' } },
      'the access key of the token is unknown',
    ],
  ])('%s', async (_, signing, reason) => {
    expect(checkToken(await sign(signing), purpose, Date.now())).toEqual({ ok: false, reason });
  });

  it.each([
    [14.9, null],
    [15.1, 'the token has expired'],
    [-4.9, null],
    [-5.1, 'the token is of the future'],
  ])('%d minutes after it was signed: %s', async (age, reason) => {
    const verdict = checkToken(await sign(), purpose, minutes(age));
    expect(verdict.ok ? null : verdict.reason).toBe(reason);
  });

  it('when it names a longer life', async () => {
    const longer = (await sign()).replace('X-Amz-Expires=900', 'X-Amz-Expires=86400');
    expect(checkToken(longer, purpose, Date.now())).toEqual({
      ok: false,
      reason: 'the token has another X-Amz-Expires',
    });
  });

  it.each(['', 'secret', 'localhost:5433/', 'localhost:5433/?%', 'localhost:5433/?Action=connect&DBUser'])(
    'as no token: "%s"',
    (token) => {
      expect(checkToken(token, purpose, Date.now())).toEqual({
        ok: false,
        reason: 'it is no IAM authentication token',
      });
    },
  );

  let token: string;
  beforeAll(async () => {
    token = await sign();
  });

  it('with any character changed, added or taken out', () => {
    const anywhere = fc.nat({ max: token.length - 1 });
    fc.assert(
      fc.property(anywhere, fc.constantFrom(0, 1), fc.string({ maxLength: 2 }), (at, removed, inserted) => {
        const changed = token.slice(0, at) + inserted + token.slice(at + removed);
        // Percent escapes mean the same in either case.
        fc.pre(changed.toLowerCase() !== token.toLowerCase());
        expect(checkToken(changed, purpose, Date.now()).ok).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it('with a parameter missing or twice', () => {
    const [address, query = ''] = token.split('?');
    const pairs = query.split('&');
    expect(pairs).toHaveLength(9);
    for (const pair of pairs) {
      const without = `${address}?${pairs.filter((other) => other !== pair).join('&')}`;
      const name = pair.split('=')[0];
      expect(checkToken(without, purpose, Date.now())).toEqual({
        ok: false,
        reason: `the token has no ${name}`,
      });
      expect(checkToken(`${token}&${pair}`, purpose, Date.now()).ok).toBe(false);
    }
  });

  it('without saying any part of it', () => {
    const changed = token.replace(/Signature=../, 'Signature=00');
    const verdict = checkToken(changed, purpose, Date.now());
    expect(JSON.stringify(verdict)).not.toMatch(/[0-9a-f]{16}/);
  });
});
