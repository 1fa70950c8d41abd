import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EmailKind } from '../../../lambdas/domain/policy.ts';
import type { EmailCopy, Told } from '../../../lambdas/notifier/copy.ts';
import { emailCopy } from '../../../lambdas/notifier/copy.ts';
import { renderEmail } from '../../../lambdas/notifier/email.ts';

const kinds: EmailKind[] = ['reconnect', 'disconnected'];
const url = 'https://app.acme.example/integrations?reconnect=8d3c2f54-1b7a-4c52-9a58-3c1f2f0b9f11';
const told: Told = {
  integrationId: '8d3c2f54-1b7a-4c52-9a58-3c1f2f0b9f11',
  providerName: 'Google Calendar',
  userName: 'Ada Lovelace',
  productName: 'Acme Flows',
  code: 'invalid_grant',
  lapsesAt: null,
  reconnectUrl: url,
};
const copy = emailCopy('reconnect', told);
const markup = fc.constantFrom('<script>', '</td>', '-->', '"', "'", '&amp;', '&', '<', '>', '\r\n', '\0');
const anyString = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.oneof(markup, fc.string()), { maxLength: 6 }).map((parts) => parts.join('')),
);

const tagsOf = (html: string) => html.match(/<[^>]*>/g) ?? [];

/** The elements in order, after checking that each is closed where it may be. */
function outline(html: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  for (const tag of tagsOf(html.replace(/<!--[\s\S]*?-->/g, '').replace(/^<!DOCTYPE html>/, ''))) {
    const [, slash, name = ''] = /^<(\/?)([a-z][a-z0-9]*)(?: [a-z-]+="[^"<>]*")*>$/.exec(tag) ?? [];
    expect(name, `is a well-formed tag: ${tag}`).not.toBe('');
    if (slash) expect(open.pop()).toBe(name);
    else if (name !== 'meta') open.push(name);
    seen.push(name);
  }
  expect(open).toEqual([]);
  return seen;
}

function visibleText(html: string): string {
  const characters: Record<string, string> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
  return html
    .replace(/<head>[\s\S]*<\/head>/, '')
    .replace(/<[^>]*>/g, '\n')
    .replace(/&(lt|gt|quot|#39|amp);/g, (_, name: string) => characters[name] ?? '');
}

describe.each(kinds)('the %s email', (kind) => {
  const content = emailCopy(kind, told);
  const { subject, html, text } = renderEmail(content, told.productName);

  it('says everything in both parts', () => {
    expect(subject).toBe(content.subject);
    const unwrapped = text.replaceAll('\n', ' ');
    const pieces = [told.productName, content.heading, ...content.paragraphs, content.button.label, url];
    for (const piece of [...pieces, content.footnote]) {
      expect(visibleText(html)).toContain(piece);
      expect(unwrapped).toContain(piece);
    }
    expect(visibleText(html)).toContain(content.preheader);
  });

  it('is a small, well-formed page without anything from elsewhere', () => {
    const elements = outline(html);
    expect(elements.filter((name) => ['img', 'script', 'link', 'iframe'].includes(name))).toEqual([]);
    expect(html).not.toMatch(/url\(|@import|src=/);
    expect([...html.matchAll(/https?:\/\/[^"<\s]*/g)].map(([found]) => found)).toEqual([url, url, url]);
    expect(html).toContain('<html lang="en" dir="ltr">');
    expect(html).toContain(`<title>${content.subject}</title>`);
    expect(html).toContain('prefers-color-scheme:dark');
    expect(Buffer.byteLength(html)).toBeLessThan(15_000);
  });

  it('wraps its text at 72 columns and leaves the URL whole', () => {
    const lines = text.split('\n');
    expect(lines).toContain(url);
    expect(lines.filter((line) => line.length > 72)).toEqual([url]);
    expect(lines.filter((line) => line !== line.trim())).toEqual([]);
  });
});

describe('contrast', () => {
  it('is at least 4.5 for every colour of text on its ground, light and dark', () => {
    const { html } = renderEmail(copy, told.productName);
    const pairs = [
      ['#24292f', '#ffffff'],
      ['#14181d', '#ffffff'],
      ['#57606a', '#f2f4f7'],
      ['#ffffff', '#1f4fd0'],
      ['#f4f6f8', '#1a1f26'],
      ['#dde2e8', '#1a1f26'],
      ['#a6b0bb', '#101317'],
      ['#0c1a3d', '#a9c1ff'],
    ] as const;
    for (const [ink, ground] of pairs) {
      expect(html).toContain(`color:${ink}`);
      expect(html).toContain(`background:${ground}`);
      expect(contrast(ink, ground), `${ink} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    }
    const colours = new Set(html.match(/(?<=[;{"]color:)#[0-9a-f]{6}/g));
    expect(colours).toEqual(new Set(pairs.map(([ink]) => ink)));
  });
});

function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

describe('renderEmail with hostile strings', () => {
  const plainTags = tagsOf(renderEmail(copy, told.productName).html);

  it('keeps exactly the tags of a harmless email, escapes and stays readable', () => {
    fc.assert(
      fc.property(
        fc.record({
          subject: anyString,
          preheader: anyString,
          heading: anyString,
          paragraphs: fc.tuple(anyString, anyString, anyString),
          button: fc.record({ label: anyString, url: fc.constant(url) }),
          footnote: anyString,
        }),
        anyString,
        (hostile: EmailCopy, productName) => {
          const { subject, html, text } = renderEmail(hostile, productName);
          expect(tagsOf(html)).toEqual(plainTags);
          expect(html.replace(/&(?:amp|lt|gt|quot|#39|#847|zwnj|nbsp);/g, '')).not.toContain('&');
          expect(html).not.toMatch(/[^\P{Cc}\n]/u);
          expect(subject).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
          expect([...subject].length).toBeLessThanOrEqual(150);
          expect(text).not.toMatch(/[^\P{Cc}\n]/u);
          expect(text.split('\n')).toContain(url);
        },
      ),
    );
  });

  it('is small and in short lines whatever the names', () => {
    const names = fc.oneof(anyString, fc.string({ unit: 'binary', minLength: 2_000, maxLength: 10_000 }));
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        names,
        names,
        names,
        (kind, providerName, productName, userName) => {
          const hostile = { ...told, providerName, productName, userName };
          const { html, text } = renderEmail(emailCopy(kind, hostile), productName);
          expect(Buffer.byteLength(html)).toBeLessThan(15_000);
          // SMTP allows 998 octets in a line.
          for (const line of [...html.split('\n'), ...text.split('\n')]) {
            expect([...line].length).toBeLessThan(998);
          }
        },
      ),
    );
  });

  it('shows markup as it was typed', () => {
    const { html } = renderEmail({ ...copy, heading: `<b>"Tom" & 'Jerry'</b>` }, told.productName);
    expect(html).toContain('&lt;b&gt;&quot;Tom&quot; &amp; &#39;Jerry&#39;&lt;/b&gt;</h1>');
  });

  it('lets a word that is wider than the text stand on its line', () => {
    const word = 'w'.repeat(100);
    const { text } = renderEmail({ ...copy, heading: word, footnote: `a ${word} b` }, told.productName);
    expect(text).toContain(`Acme Flows\n\n${word}\n\nHello`);
    expect(text).toContain(`---\n\na\n${word}\nb\n`);
  });

  it('keeps the subject a single header line', () => {
    const subject = 'Hello\r\nBcc: everyone@evil.example\u2028\0';
    expect(renderEmail({ ...copy, subject }, told.productName).subject).toBe(
      'Hello Bcc: everyone@evil.example',
    );
  });
});

describe("the button's URL", () => {
  const withUrl = (url: string) => renderEmail({ ...copy, button: { label: 'Go', url } }, told.productName);

  it.each([
    ['javascript:alert(1)'],
    ['java\nscript:alert(1)'],
    ['data:text/html,x'],
    ['//evil.example'],
    ['/integrations'],
    [''],
  ])('is refused when it is %j', (bad) => {
    expect(() => withUrl(bad)).toThrow(
      new RangeError(`button.url must be an http or https URL, but is ${JSON.stringify(bad)}`),
    );
  });

  it('is escaped in attributes and whole in the text', () => {
    const { html, text } = withUrl(`https://app.acme.example/r?a=1&b="><script>'`);
    const whole = 'https://app.acme.example/r?a=1&b=%22%3E%3Cscript%3E%27';
    expect(html.split(`href="${whole.replace('&', '&amp;')}"`)).toHaveLength(3);
    expect(text.split('\n')).toContain(whole);
  });

  it('leaves no markup, space or control behind, whatever comes after the origin', () => {
    fc.assert(
      fc.property(anyString, (path) => {
        const { html, text } = withUrl(`https://app.acme.example/${path}`);
        expect(() => outline(html)).not.toThrow();
        expect(text.split('\n').filter((line) => line.startsWith('https://app.acme.example/'))).toHaveLength(
          1,
        );
      }),
    );
  });
});
