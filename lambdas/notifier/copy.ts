import { failureCodes, isFailureCode } from '../domain/failure-codes.ts';
import type { EmailKind, NotificationType } from '../domain/policy.ts';

/** Whom a text speaks to and about what. Every name is untrusted; the texts clean them. */
export interface Told {
  readonly integrationId: string;
  /** As the user knows it: "Google Calendar". */
  readonly providerName: string;
  readonly userName: string | null;
  /** The product that the user connected the provider to: "Acme Flows". */
  readonly productName: string;
  /** Of what happened, one of `failure-codes.ts`. */
  readonly code: string;
  /** When the connection ends, or ended, by itself; `null`: it does not. */
  readonly lapsesAt: Date | null;
  /** From `reconnectUrl`. */
  readonly reconnectUrl: string;
}

/** What a notification in the app says. Plain text. */
export interface NotificationCopy {
  readonly title: string;
  readonly message: string;
  readonly actionLabel: string;
  readonly actionUrl: string;
}

/** What an email says. Plain text; `renderEmail` gives it its form. */
export interface EmailCopy {
  readonly subject: string;
  /** What an inbox shows after the subject. */
  readonly preheader: string;
  readonly heading: string;
  readonly paragraphs: readonly string[];
  readonly button: { readonly label: string; readonly url: string };
  readonly footnote: string;
}

const longestName = 50;
/** Products keep messages in columns that take so much. */
const longestMessage = 255;
const longestUserName = 60;

/** The words of a notification in the app. */
export function notificationCopy(type: NotificationType, told: Told): NotificationCopy {
  const { provider, product } = names(told);
  const reason = reasonOf(told);
  const actionUrl = told.reconnectUrl;
  switch (type) {
    case 'integration_warning':
      if (told.lapsesAt !== null) {
        return { ...endsCopy(told, told.lapsesAt), actionLabel: 'Reconnect', actionUrl };
      }
      return {
        title: `${provider} may disconnect soon`,
        message: firstThatFits([
          reason && `${provider} is still connected, but may stop working soon. ${reason}`,
          `${provider} is still connected, but we had trouble renewing the connection and it may stop working. Reconnecting now prevents that.`,
        ]),
        actionLabel: 'Reconnect',
        actionUrl,
      };
    case 'integration_disconnected':
      return {
        title: `${provider} is disconnected`,
        message: firstThatFits([
          hasEnded(told) &&
            `Your ${provider} connection has come to its end, as it does after a time. Anything that uses it stops until you reconnect.`,
          reason && `Anything that uses your ${provider} account has stopped. ${reason}`,
          `${product} can no longer access your ${provider} account. Anything that uses it stops until you reconnect.`,
        ]),
        actionLabel: 'Reconnect',
        actionUrl,
      };
    case 'integration_rate_limit':
      return {
        title: `We cannot reach ${provider} right now`,
        message: `${provider} is not accepting our requests at the moment, so anything that uses it may be delayed. There is nothing you need to do: we keep trying.`,
        actionLabel: 'View connection',
        actionUrl,
      };
  }
}

/** The words of an email. */
export function emailCopy(kind: EmailKind, told: Told): EmailCopy {
  const { provider, product } = names(told);
  const greeting = greet(told.userName);
  const button = { label: `Reconnect ${provider}`, url: told.reconnectUrl };
  const reason = reasonOf(told);
  const footnote = [
    `You get this email because you connected ${provider} to ${product}.`,
    hasEnded(told)
      ? 'If you have already reconnected, or no longer want to, you can ignore it.'
      : 'If you ended that access on purpose, or have already reconnected, you can ignore it.',
    `The link opens ${product} at the address shown.`,
  ].join(' ');
  switch (kind) {
    case 'reconnect':
      return {
        subject: `Please reconnect ${provider} to ${product}`,
        preheader: `${provider} no longer gives us access to your account. Most likely only you can restore it.`,
        heading: `Please reconnect ${provider}`,
        paragraphs: [
          greeting,
          reason === null
            ? `${provider} told us that ${product} no longer has access to your account. Common reasons are a changed password, access that was removed, or access that expired.`
            : `${product} no longer has access to your ${provider} account. ${reason}`,
          'We will keep trying for a little while, but most likely only you can restore the connection. Until then, anything that uses it may stop.',
        ],
        button,
        footnote,
      };
    case 'disconnected':
      if (hasEnded(told)) {
        return {
          subject: `Your ${provider} connection to ${product} has ended`,
          preheader: 'Anything that uses it stops until you reconnect.',
          heading: `Your ${provider} connection has ended`,
          paragraphs: [
            greeting,
            `${provider} gives access to your account for a limited time, and that time is over. Nobody took the access away, and nothing went wrong: only you can renew it.`,
            `Anything in ${product} that uses this connection stops until you reconnect.`,
          ],
          button,
          footnote,
        };
      }
      return {
        subject: `${provider} is disconnected from ${product}`,
        preheader: 'Anything that uses it stops until you reconnect.',
        heading: `${provider} is disconnected`,
        paragraphs: [
          greeting,
          `${product} can no longer access your ${provider} account. ${reason ?? `${provider} refused to renew the connection, so we have stopped trying.`}`,
          'Anything that uses this connection stops until you reconnect.',
        ],
        button,
        footnote,
      };
  }
}

function firstThatFits(messages: readonly (string | false | null)[]): string {
  return messages.find((message) => message && [...message].length <= longestMessage) || '';
}

/** A warning of an end that is known beforehand. */
function endsCopy(told: Told, lapsesAt: Date): { readonly title: string; readonly message: string } {
  const { provider } = names(told);
  const why =
    told.code === 'refresh_token_ends'
      ? `${provider} wants you to sign in again from time to time.`
      : `${provider} gives access to your account for a limited time.`;
  return {
    title: `${provider} needs you to sign in again by ${dayAndMonth.format(lapsesAt)}`,
    message: `${why} Your connection ends on ${fullDate.format(lapsesAt)}. Reconnect before then, and nothing stops.`,
  };
}

const dayAndMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', timeZone: 'UTC' });
const fullDate = new Intl.DateTimeFormat('en-GB', {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
  timeZone: 'UTC',
});

function hasEnded({ code }: Told): boolean {
  return code === 'access_token_ended';
}

/** These say no more than that the connection is refused, which the texts say better by themselves. */
const vagueCodes = new Set([
  'invalid_grant',
  'grant_refused',
  'unknown_error',
  'access_denied',
  'refresh_token_malformed',
]);

/** Why, and what helps, in sentences for the user; `null`: nothing better is known than what the texts say. */
function reasonOf(told: Told): string | null {
  if (vagueCodes.has(told.code) || !isFailureCode(told.code)) return null;
  const sentences = failureCodes[told.code].user.replaceAll('{provider}', () => names(told).provider);
  // What asks nothing of the user belongs to failures that never get here, unless a provider's own rules say so.
  return /please/i.test(sentences) ? sentences : null;
}

/**
 * Where a user reconnects: `reconnectPath` below `appBaseUrl`, with `{integrationId}` and `{provider}` filled
 * in. Throws `RangeError` when `appBaseUrl` is not a web address or the path would leave it.
 */
export function reconnectUrl(
  appBaseUrl: string | null,
  reconnectPath: string,
  integrationId: string,
  provider: string,
): string {
  const values = { integrationId, provider };
  const path = reconnectPath
    .replace(/^\/+/, '')
    .replace(/\{(integrationId|provider)\}/g, (_, name: keyof typeof values) =>
      encodeURIComponent(values[name].toWellFormed()),
    );
  if (appBaseUrl === null) return `/${path}`;
  const base = webUrl('appBaseUrl', appBaseUrl);
  const below = `${base.origin}${base.pathname.replace(/\/+$/, '')}/`;
  const { href } = new URL(below + path);
  // `..` has no encoding that a URL parser would not resolve.
  if (!href.startsWith(below)) {
    throw new RangeError(`reconnectPath must stay below ${below}, but leads to ${href.slice(0, 200)}`);
  }
  return href;
}

/** `value` as an http or https URL; throws `RangeError` calling it `name`. */
export function webUrl(name: string, value: string): URL {
  const url = URL.parse(value);
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw new RangeError(
      `${name} must be an http or https URL, but is ${JSON.stringify(value.slice(0, 200))}`,
    );
  }
  return url;
}

/** `value` on one line, without characters that control instead of show. */
export function singleLine(value: string): string {
  return (
    value
      .toWellFormed()
      .normalize('NFC')
      // Format characters reorder or hide text. The two joiners stay: Persian names and emoji need them.
      .replace(/(?![\u200c\u200d])\p{Cf}/gu, '')
      .replace(/[\s\p{Cc}]+/gu, ' ')
      // Piled-up accents would paint over the lines around them.
      .replace(/(\p{M}{4})\p{M}+/gu, '$1')
      .trim()
  );
}

/** `value`, cut to at most `limit` characters. */
export function shorten(value: string, limit: number): string {
  const characters = [...value];
  return characters.length <= limit
    ? value
    : `${characters
        .slice(0, limit - 1)
        .join('')
        .trimEnd()}…`;
}

/** The name of a provider or a product, fit to stand in a sentence. */
export function displayName(name: string): string {
  return shorten(singleLine(name), longestName);
}

function names(told: Told): { provider: string; product: string } {
  return {
    provider: displayName(told.providerName) || 'External service',
    product: displayName(told.productName) || 'This app',
  };
}

function greet(userName: string | null): string {
  const name = singleLine(userName ?? '');
  return isName(name) ? `Hello ${name},` : 'Hello,';
}

/** Anyone can type anything as their name, or as a stranger's: what could be a message or a link is none. */
function isName(name: string): boolean {
  if (!/\p{L}/u.test(name) || [...name].length > longestUserName) return false;
  // As a mail client sees it that looks for links: full-width forms are no disguise.
  const seen = name.normalize('NFKC').replaceAll('。', '.');
  const markup = /[<>:@]/;
  const domain = /www\.|\.[^\s.-]{2}|\.\p{N}/iu;
  const phoneNumber = /(?:\p{N}\P{N}*){7}/u;
  return !(markup.test(seen) || domain.test(seen) || phoneNumber.test(seen));
}
