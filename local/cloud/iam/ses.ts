import { randomUUID } from 'node:crypto';
import { ACCOUNT_ID, REGION } from '../intrinsics.ts';
import type { Denial } from './authorizer.ts';
import type { RequestContext } from './conditions.ts';

/** A sending identity of the account. */
export interface EmailIdentity {
  /** An address or a domain. */
  name: string;
  /** The configuration set of emails that name none. */
  configurationSet: string | null;
}

/** What one request asks of IAM. */
export interface NeededForSes {
  action: string;
  resource: string;
  context: RequestContext;
}

/** A call of SES, v1 or v2. */
export interface SesRequest {
  method: string;
  path: string;
  body: string;
}

interface Sending {
  action: string;
  from: string;
  identityArn: string | undefined;
  configurationSet: string | undefined;
  recipients: string[];
}

/**
 * The permissions that a call of SES needs, all of them; null for a call of which nobody here knows what it needs.
 * Sending needs the identity that sends, and the configuration set of the call or of that identity. A sender that no
 * identity of the template covers is taken to be covered by one for its domain that the operator has made.
 */
export function neededForSes(
  request: SesRequest,
  identities: readonly EmailIdentity[],
): NeededForSes[] | null {
  if (request.method === 'GET' && request.path === '/v2/email/account') {
    return [{ action: 'ses:GetAccount', resource: '*', context: {} }];
  }
  const sending = readSending(request);
  if (!sending) return null;
  const { action, from, recipients } = sending;
  const identity = identityOf(from, identities);
  const configurationSet = sending.configurationSet ?? identity.configurationSet;
  const context = { 'ses:FromAddress': from, 'ses:Recipients': recipients };
  const resources = [
    sending.identityArn ?? sesArn(`identity/${identity.name}`),
    ...(configurationSet ? [sesArn(`configuration-set/${configurationSet}`)] : []),
  ];
  return resources.map((resource) => ({ action, resource, context }));
}

/** The address itself if it is an identity, otherwise the nearest of its domains that is one. */
function identityOf(address: string, identities: readonly EmailIdentity[]): EmailIdentity {
  const labels = address
    .slice(address.lastIndexOf('@') + 1)
    .toLowerCase()
    .split('.');
  const domains = labels.slice(0, -1).map((_, index) => labels.slice(index).join('.'));
  const found = [address.toLowerCase(), ...domains]
    .map((name) => identities.find((identity) => identity.name.toLowerCase() === name))
    .find((identity) => identity !== undefined);
  return found ?? { name: labels.join('.'), configurationSet: null };
}

function readSending({ method, path, body }: SesRequest): Sending | null {
  if (method !== 'POST') return null;
  if (path === '/v2/email/outbound-emails') return readV2(body);
  return path === '/' ? readV1(body) : null;
}

interface SendEmailV2 {
  FromEmailAddress?: string;
  FromEmailAddressIdentityArn?: string;
  ConfigurationSetName?: string;
  Destination?: { ToAddresses?: string[]; CcAddresses?: string[]; BccAddresses?: string[] };
  Content?: { Simple?: object; Raw?: { Data?: string } };
}

function readV2(body: string): Sending | null {
  const { Content: content, Destination: destination, ...call } = parseJson(body);
  const { ToAddresses: to = [], CcAddresses: cc = [], BccAddresses: bcc = [] } = destination ?? {};
  const common = {
    identityArn: call.FromEmailAddressIdentityArn,
    configurationSet: call.ConfigurationSetName,
    recipients: [...to, ...cc, ...bcc].map(addressIn),
  };
  if (content?.Simple) {
    return { action: 'ses:SendEmail', from: addressIn(call.FromEmailAddress ?? ''), ...common };
  }
  if (!content?.Raw) return null;
  const from = call.FromEmailAddress ?? senderOf(content.Raw.Data ?? '');
  return { action: 'ses:SendRawEmail', from: addressIn(from), ...common };
}

/** What is no JSON names no sender; SES refuses it whoever sends it. */
function parseJson(body: string): SendEmailV2 {
  try {
    return JSON.parse(body) as SendEmailV2;
  } catch {
    return {};
  }
}

function readV1(body: string): Sending | null {
  const call = new URLSearchParams(body);
  const action = call.get('Action');
  if (action !== 'SendEmail' && action !== 'SendRawEmail') return null;
  const source = call.get('Source') ?? senderOf(call.get('RawMessage.Data') ?? '');
  return {
    action: `ses:${action}`,
    from: addressIn(source),
    identityArn: call.get('SourceArn') ?? undefined,
    configurationSet: call.get('ConfigurationSetName') ?? undefined,
    recipients: [...call].filter(([name]) => /^Destination/.test(name)).map(([, value]) => addressIn(value)),
  };
}

/** The From header of a message in base64. */
function senderOf(data: string): string {
  const [head = ''] = Buffer.from(data, 'base64')
    .toString('utf8')
    .split(/\r?\n\r?\n/);
  return /^from:(.*(?:\r?\n[ \t].*)*)/im.exec(head)?.[1]?.trim() ?? '';
}

/** `a@b.example` in `Ann <a@b.example>`. */
function addressIn(text: string): string {
  return /<([^<>]*)>\s*$/.exec(text)?.[1] ?? text.trim();
}

function sesArn(resource: string): string {
  return `arn:aws:ses:${REGION}:${ACCOUNT_ID}:${resource}`;
}

/** SES' answer to a denied call: it has a sentence of its own, as JSON in v2 and as XML in v1. */
export function sesDenial(
  { user, action, resource }: Denial,
  { path }: SesRequest,
): { status: number; headers: Record<string, string>; body: string } {
  const sentence = `User \`${user}' is not authorized to perform \`${action}' on resource \`${resource}'`;
  if (path.startsWith('/v2/')) {
    return {
      status: 403,
      headers: { 'content-type': 'application/json', 'x-amzn-errortype': 'AccessDeniedException' },
      body: JSON.stringify({ message: sentence }),
    };
  }
  return {
    status: 403,
    headers: { 'content-type': 'text/xml' },
    body:
      '<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/">' +
      `<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>${escapeXml(sentence)}</Message></Error>` +
      `<RequestId>${randomUUID()}</RequestId></ErrorResponse>`,
  };
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
