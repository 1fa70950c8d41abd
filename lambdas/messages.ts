import type { RefreshMessage, SealedResultMessage, ThresholdEventMessage } from './contract.ts';
import { problemsOf, z } from './schema.ts';

const version = z.literal(1);
// Nobody's work depends on it, so a wrong one makes no message malformed.
const provider = z.catch(z.optional(z.string()), undefined);
// A bigint.
const claim = z.string().check(z.regex(/^\d{1,18}$/));
const refreshMessage = z.object({ version, integrationId: z.guid(), claim: z.optional(claim), provider });
const sealedResultMessage = z.object({
  version,
  integrationId: z.guid(),
  claim,
  grant: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  provider,
  sealed: z.string(),
});
const thresholdEventMessage = z.object({ version, eventId: z.guid(), provider });

export type Parsed<Message> =
  | { readonly ok: true; readonly message: Message }
  /** `problem` names the field and repeats nothing of the body. */
  | { readonly ok: false; readonly problem: string };

/** Reads the body of a message on the refresh queue. Never throws. */
export function parseRefreshMessage(body: string): Parsed<RefreshMessage> {
  return parse(refreshMessage, body);
}

/** Reads the body of a message on the threshold event queue. Never throws. */
export function parseThresholdEventMessage(body: string): Parsed<ThresholdEventMessage> {
  return parse(thresholdEventMessage, body);
}

/** Reads the body of a message on the sealed result queue. Never throws. */
export function parseSealedResultMessage(body: string): Parsed<SealedResultMessage> {
  return parse(sealedResultMessage, body);
}

function parse<Message>(schema: z.ZodMiniType<Message>, body: string): Parsed<Message> {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    return { ok: false, problem: 'the body is not JSON' };
  }
  const parsed = schema.safeParse(document);
  return parsed.success
    ? { ok: true, message: parsed.data }
    : { ok: false, problem: problemsOf(parsed.error, 'the body') };
}
