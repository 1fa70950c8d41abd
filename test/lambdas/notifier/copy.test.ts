import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureCodes } from '../../../lambdas/domain/failure-codes.ts';
import type { EmailKind, NotificationType } from '../../../lambdas/domain/policy.ts';
import type { Told } from '../../../lambdas/notifier/copy.ts';
import {
  emailCopy,
  notificationCopy,
  reconnectUrl,
  shorten,
  singleLine,
} from '../../../lambdas/notifier/copy.ts';

const types: NotificationType[] = [
  'integration_warning',
  'integration_disconnected',
  'integration_rate_limit',
];
const kinds: EmailKind[] = ['reconnect', 'disconnected'];
const told: Told = {
  integrationId: '8d3c2f54-1b7a-4c52-9a58-3c1f2f0b9f11',
  providerName: 'Google Calendar',
  userName: 'Ada Lovelace',
  productName: 'Acme Flows',
  code: 'invalid_grant',
  lapsesAt: null,
  reconnectUrl: 'https://app.acme.example/integrations?reconnect=8d3c2f54-1b7a-4c52-9a58-3c1f2f0b9f11',
};
const anyString = fc.string({ unit: 'binary', maxLength: 300 });
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

const greetingFor = (userName: string | null) => emailCopy('reconnect', { ...told, userName }).paragraphs[0];

const wordsOf = (told: Told) => [
  ...types.flatMap((type) => {
    const { title, message, actionLabel } = notificationCopy(type, told);
    return [title, message, actionLabel];
  }),
  ...kinds.flatMap((kind) => {
    const { subject, preheader, heading, paragraphs, button, footnote } = emailCopy(kind, told);
    return [subject, preheader, heading, ...paragraphs, button.label, footnote];
  }),
];

describe('notificationCopy', () => {
  it.each(types)('%s names the provider and leads to the connection', (type) => {
    const copy = notificationCopy(type, told);
    expect(copy.title).toContain('Google Calendar');
    expect(copy.message).toContain('Google Calendar');
    expect(copy.actionUrl).toBe(told.reconnectUrl);
  });

  it('asks for a reconnection only when one helps', () => {
    expect(types.map((type) => notificationCopy(type, told).actionLabel)).toEqual([
      'Reconnect',
      'Reconnect',
      'View connection',
    ]);
    expect(notificationCopy('integration_rate_limit', told).message).toContain('nothing you need to do');
  });
});

describe('emailCopy', () => {
  it.each(kinds)('%s says what happened, why the user gets it, and has one button', (kind) => {
    const copy = emailCopy(kind, told);
    expect(copy.subject).toContain('Google Calendar');
    expect(copy.heading).toContain('Google Calendar');
    expect(copy.paragraphs[0]).toBe('Hello Ada Lovelace,');
    expect(copy.button).toEqual({ label: 'Reconnect Google Calendar', url: told.reconnectUrl });
    expect(copy.footnote).toContain('because you connected Google Calendar to Acme Flows');
    expect(copy.footnote).toContain('opens Acme Flows');
  });

  it('says that we go on trying only while we do', () => {
    expect(emailCopy('reconnect', told).paragraphs.join(' ')).toContain('keep trying');
    expect(emailCopy('disconnected', told).paragraphs.join(' ')).toContain('stopped trying');
  });

  it.each([
    ['Ada Lovelace', 'Hello Ada Lovelace,'],
    ['  Ada \r\n Lovelace\t', 'Hello Ada Lovelace,'],
    ['J.R.R. Tolkien', 'Hello J.R.R. Tolkien,'],
    ["Sinéad O'Connor-Smith, Jr.", "Hello Sinéad O'Connor-Smith, Jr.,"],
    ['علی‌رضا', 'Hello علی‌رضا,'],
    ['王小明', 'Hello 王小明,'],
    ['\u202eAda\u202c', 'Hello Ada,'],
  ])('greets %j by name', (userName, greeting) => {
    expect(greetingFor(userName)).toBe(greeting);
  });

  it.each([
    [null],
    [''],
    [' \n\u202e\u2066 '],
    ['...'],
    ['a'.repeat(10_000)],
    ['\u202e'.repeat(10_000)],
    ['https://evil.example/login'],
    ['www.evil'],
    ['WWW. evil'],
    ['Your account is locked, go to evil.com'],
    ['evil\u200d.\u200dcom'],
    ['evil。com'],
    ['evil．com'],
    ['10.0.0.1'],
    ['10.\u200d0.0.1'],
    ['ada@evil'],
    ['javascript:alert(1)'],
    ['<b>Ada</b>'],
    ['＜b＞'],
    ['Call +1 (555) 010-9999 now'],
  ])('greets %j without a name', (userName) => {
    expect(greetingFor(userName)).toBe('Hello,');
  });

  it('never greets with anything that a mail client would make a link', () => {
    const pieces = fc.constantFrom('://', 'www.', 'WWW.', '<', '>', '.com', 'evil.io', '@');
    fc.assert(
      fc.property(anyString, pieces, anyString, (before, piece, after) => {
        fc.pre(/[\p{L}\p{N}]$/u.test(before));
        expect(greetingFor(before + piece + after)).toBe('Hello,');
      }),
    );
  });
});

describe('a connection that ends by itself', () => {
  const ends = (code: string): Told => ({ ...told, code, lapsesAt: new Date('2026-12-03T23:30:00Z') });

  it('is announced with its day', () => {
    expect(notificationCopy('integration_warning', ends('access_token_ends'))).toEqual({
      title: 'Google Calendar needs you to sign in again by 3 December',
      message:
        'Google Calendar gives access to your account for a limited time. Your connection ends on Thursday, 3 December 2026. Reconnect before then, and nothing stops.',
      actionLabel: 'Reconnect',
      actionUrl: told.reconnectUrl,
    });
    const copy = notificationCopy('integration_warning', ends('refresh_token_ends'));
    expect(copy.title).toBe('Google Calendar needs you to sign in again by 3 December');
    expect(copy.message).toContain('wants you to sign in again from time to time');
  });

  it('is told of as ended, and not as refused', () => {
    const { message } = notificationCopy('integration_disconnected', ends('access_token_ended'));
    expect(message).toContain('come to its end');
    const { subject, paragraphs } = emailCopy('disconnected', ends('access_token_ended'));
    expect(subject).toBe('Your Google Calendar connection to Acme Flows has ended');
    const body = paragraphs.join(' ');
    expect(body).toContain('Nobody took the access away');
    expect(body).not.toMatch(/refused|trying/);
  });
});

describe('a reason that is known', () => {
  const because: Told = { ...told, code: 'password_changed' };

  it('stands in the notification and in the email', () => {
    const reason = 'Your Google Calendar password changed';
    expect(notificationCopy('integration_warning', because).message).toContain(reason);
    expect(notificationCopy('integration_disconnected', because).message).toContain(reason);
    for (const kind of kinds) expect(emailCopy(kind, because).paragraphs.join(' ')).toContain(reason);
    expect(emailCopy('reconnect', because).paragraphs.join(' ')).not.toContain('Common reasons');
  });

  it.each(['grant_refused', 'timeout', 'invalid_client', 'a_rule_of_the_operator', '__proto__'])(
    'is none in %s, which tells the user nothing',
    (code) => {
      for (const type of types) {
        expect(notificationCopy(type, { ...told, code })).toEqual(notificationCopy(type, told));
      }
      for (const kind of kinds) expect(emailCopy(kind, { ...told, code })).toEqual(emailCopy(kind, told));
    },
  );
});

describe('every code', () => {
  const longest = { providerName: 'P'.repeat(60), productName: 'Q'.repeat(60) };
  const all = Object.keys(failureCodes).flatMap((code) =>
    [null, new Date('2026-09-30T00:00:00Z')].map((lapsesAt) => ({ ...told, ...longest, code, lapsesAt })),
  );

  it('gives texts that are calm, free of jargon, and fit a product’s columns', () => {
    for (const given of all) {
      for (const text of wordsOf(given)) {
        expect(text).not.toMatch(/token|oauth|grant|integration|credential|refresh|invalid|[!{}]/i);
        expect([...text].length, text).toBeLessThanOrEqual(400);
      }
      for (const type of types) {
        const { title, message } = notificationCopy(type, given);
        expect([...title].length, title).toBeLessThanOrEqual(100);
        expect([...message].length, message).toBeLessThanOrEqual(255);
        expect(message).not.toBe('');
      }
    }
  });
});

describe('all texts', () => {
  it('are calm and free of jargon', () => {
    for (const text of wordsOf(told)) {
      expect(text).not.toMatch(/token|oauth|grant|integration|credential|refresh|invalid|!/i);
    }
  });

  it('read as sentences without any usable name', () => {
    const nameless = { ...told, providerName: '\n', productName: '\u202e', userName: null };
    for (const text of wordsOf(nameless)) {
      expect(text).not.toMatch(/ {2}|^ | $| [.,]/);
    }
    expect(emailCopy('disconnected', nameless).subject).toBe(
      'External service is disconnected from This app',
    );
  });

  it('stay on one line and bounded, whatever the names', () => {
    const long = fc.string({ unit: 'binary', minLength: 2_000, maxLength: 10_000 });
    const names = fc.oneof(anyString, long);
    fc.assert(
      fc.property(names, names, fc.option(names), (providerName, productName, userName) => {
        const hostile = { ...told, providerName, productName, userName };
        for (const text of wordsOf(hostile)) {
          expect(text).not.toMatch(unprintable);
          expect(text.isWellFormed()).toBe(true);
          expect([...text].length).toBeLessThanOrEqual(400);
        }
        for (const type of types) {
          expect([...notificationCopy(type, hostile).title].length).toBeLessThanOrEqual(100);
        }
        for (const kind of kinds) {
          expect([...emailCopy(kind, hostile).subject].length).toBeLessThanOrEqual(150);
        }
      }),
    );
  });
});

describe('singleLine and shorten', () => {
  it('keeps letters, joiners and a few accents, and drops what piles up or hides', () => {
    expect(singleLine(' a\r\nb\u0000\u2028c\u00ad\ufeff ')).toBe('a b c');
    expect(singleLine('👩\u200d👧')).toBe('👩\u200d👧');
    expect(singleLine(`x${'\u0336'.repeat(500)}y`)).toBe(`x${'\u0336'.repeat(4)}y`);
    expect(singleLine('\ud800')).toBe('\ufffd');
  });

  it('cuts between characters, not within', () => {
    expect(shorten('abc', 3)).toBe('abc');
    expect(shorten('ab cd', 4)).toBe('ab…');
    expect(shorten('🦄🦄🦄', 2)).toBe('🦄…');
  });
});

describe('reconnectUrl', () => {
  const base = 'https://app.acme.example/team/';

  it.each([
    [
      'https://app.acme.example',
      '/integrations?reconnect={integrationId}',
      'https://app.acme.example/integrations?reconnect=id-1',
    ],
    [
      base,
      '/integrations/{provider}/{integrationId}#now',
      'https://app.acme.example/team/integrations/google/id-1#now',
    ],
    [base, 'reconnect?{provider}={provider}', 'https://app.acme.example/team/reconnect?google=google'],
    [base, '?reconnect={integrationId}', 'https://app.acme.example/team/?reconnect=id-1'],
    [
      'https://app.acme.example/team?x=1#y',
      '//evil.example/{integrationId}',
      'https://app.acme.example/team/evil.example/id-1',
    ],
    ['http://localhost:3000', '/{unknown}', 'http://localhost:3000/%7Bunknown%7D'],
  ])('%s and %s give %s', (appBaseUrl, path, url) => {
    expect(reconnectUrl(appBaseUrl, path, 'id-1', 'google')).toBe(url);
  });

  it('stays within the app when there is no base', () => {
    expect(reconnectUrl(null, '/integrations?reconnect={integrationId}', 'id 1', 'google')).toBe(
      '/integrations?reconnect=id%201',
    );
  });

  it('fills values in once and literally', () => {
    expect(reconnectUrl(base, '/{provider}?id={integrationId}', '$&{provider}', 'a/b?c#d&e\\f')).toBe(
      'https://app.acme.example/team/a%2Fb%3Fc%23d%26e%5Cf?id=%24%26%7Bprovider%7D',
    );
  });

  it('takes ids that are no well-formed text', () => {
    expect(reconnectUrl(base, '/?{integrationId}', '\ud800', 'google')).toBe(`${base}?%EF%BF%BD`);
  });

  it.each([['ftp://app.acme.example'], ['javascript:alert(1)'], ['app.acme.example'], ['']])(
    'refuses %j as a base',
    (appBaseUrl) => {
      expect(() => reconnectUrl(appBaseUrl, '/', 'id', 'google')).toThrow(
        new RangeError(`appBaseUrl must be an http or https URL, but is ${JSON.stringify(appBaseUrl)}`),
      );
    },
  );

  it.each([
    ['/../x', 'id'],
    ['/{integrationId}/x', '..'],
  ])('refuses to leave the base path: %s with %s', (path, integrationId) => {
    expect(() => reconnectUrl(base, path, integrationId, 'google')).toThrow(
      /^reconnectPath must stay below https:\/\/app\.acme\.example\/team\//,
    );
  });

  it('stays on the origin and below the base path for any values', () => {
    const paths = fc.constantFrom(
      '/integrations?reconnect={integrationId}&provider={provider}',
      '/connections/c-{integrationId}/p-{provider}',
      '/#/c/{integrationId}?{provider}',
    );
    fc.assert(
      fc.property(paths, anyString, anyString, (path, integrationId, provider) => {
        const url = reconnectUrl(base, path, integrationId, provider);
        expect(new URL(url).origin).toBe('https://app.acme.example');
        expect(new URL(url).pathname).toMatch(/^\/team\//);
        expect(url).toMatch(/^[\x21-\x7e]+$/);
      }),
    );
  });

  it('stays below the base path or throws for any path', () => {
    fc.assert(
      fc.property(anyString, anyString, anyString, (path, integrationId, provider) => {
        let url: string;
        try {
          url = reconnectUrl(base, path, integrationId, provider);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
          return;
        }
        expect(url.startsWith(base)).toBe(true);
      }),
    );
  });
});
