import {
  AccountSuspendedException,
  BadRequestException,
  MailFromDomainNotVerifiedException,
  MessageRejected,
  SESv2Client,
  SESv2ServiceException,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import type { RenderedEmail } from './email.ts';

export type SendResult =
  | { readonly kind: 'sent'; readonly messageId: string }
  /** SES will not send this email to this address, however often it is asked. */
  | { readonly kind: 'refused'; readonly code: string }
  /** SES did not take it this time, and said so: it was not sent. */
  | { readonly kind: 'not_sent'; readonly code: string }
  /** No answer: sent or not, nobody knows. */
  | { readonly kind: 'in_doubt'; readonly code: string };

/** Sends through SES. Never throws for what SES or the network does. */
export class EmailSender {
  readonly #sender: string;
  readonly #configurationSet: string | undefined;
  readonly #client: SESv2Client;

  /** `configurationSet`: what counts bounces and keeps the list of those who get no more, if there is one. */
  constructor(sender: string, configurationSet: string | undefined) {
    this.#sender = sender;
    this.#configurationSet = configurationSet;
    this.#client = new SESv2Client({
      // A retry after a lost answer would send the email twice, behind our back.
      maxAttempts: 1,
      requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
    });
  }

  /** `eventId` goes along as a tag, so that a bounce can be traced to its event. */
  async send(to: string, email: RenderedEmail, eventId: string): Promise<SendResult> {
    const first = await this.#try(to, email, eventId);
    // Nothing was sent, and the SDK has learnt from the refusal what time it is at SES.
    return first.clockWasWrong ? (await this.#try(to, email, eventId)).result : first.result;
  }

  async #try(
    to: string,
    email: RenderedEmail,
    eventId: string,
  ): Promise<{ readonly result: SendResult; readonly clockWasWrong: boolean }> {
    try {
      const { MessageId: messageId = '' } = await this.#client.send(
        new SendEmailCommand({
          FromEmailAddress: this.#sender,
          ConfigurationSetName: this.#configurationSet,
          Destination: { ToAddresses: [to] },
          Content: {
            Simple: {
              Subject: { Data: email.subject, Charset: 'UTF-8' },
              Body: {
                Html: { Data: email.html, Charset: 'UTF-8' },
                Text: { Data: email.text, Charset: 'UTF-8' },
              },
            },
          },
          EmailTags: [{ Name: 'event', Value: eventId }],
        }),
      );
      return { result: { kind: 'sent', messageId }, clockWasWrong: false };
    } catch (error) {
      const result = readError(error);
      const clockWasWrong =
        result.kind === 'not_sent' &&
        error instanceof SESv2ServiceException &&
        'clockSkewCorrected' in error.$metadata;
      return { result, clockWasWrong };
    }
  }
}

function readError(error: unknown): SendResult {
  // SES says so of a sender that is not verified, and in the sandbox of a recipient: the operator has to act,
  // and then the email can be sent.
  if (error instanceof MessageRejected && /not verified/i.test(error.message)) {
    return { kind: 'not_sent', code: 'IdentityNotVerified' };
  }
  if (error instanceof MessageRejected || error instanceof BadRequestException) {
    return { kind: 'refused', code: error.name };
  }
  // About our account, not about this email: it can be sent when the operator has put that right.
  if (error instanceof MailFromDomainNotVerifiedException || error instanceof AccountSuspendedException) {
    return { kind: 'not_sent', code: error.name };
  }
  if (error instanceof SESv2ServiceException) {
    const status = error.$metadata.httpStatusCode ?? 0;
    return { kind: status >= 400 && status < 500 ? 'not_sent' : 'in_doubt', code: error.name };
  }
  return { kind: 'in_doubt', code: error instanceof Error ? error.name : typeof error };
}
