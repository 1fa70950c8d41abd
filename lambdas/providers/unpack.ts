import {
  brotliDecompressSync,
  constants,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib';

/** Token responses are a few kilobytes; whoever sends more than this is not answering our question. */
export const maxBodyBytes = 256 * 1024;

/** Nobody packs more often for a good reason. */
const mostCodings = 5;

// What lacks its end, such as a checksum, is taken, as browsers do.
const limits = { maxOutputLength: maxBodyBytes };
const zlib = { ...limits, finishFlush: constants.Z_SYNC_FLUSH };
const known: ReadonlyMap<string, (body: Buffer) => Buffer> = new Map([
  ['gzip', (body) => gunzipSync(body, zlib)],
  ['x-gzip', (body) => gunzipSync(body, zlib)],
  // Some servers leave the wrapper of RFC 1950 out.
  [
    'deflate',
    (body) => (((body[0] ?? 0) & 0x0f) === 8 ? inflateSync(body, zlib) : inflateRawSync(body, zlib)),
  ],
  ['br', (body) => brotliDecompressSync(body, { ...limits, finishFlush: constants.BROTLI_OPERATION_FLUSH })],
  ['zstd', (body) => zstdDecompressSync(body, { ...limits, finishFlush: constants.ZSTD_e_flush })],
]);

/**
 * Undoes the codings of a body (RFC 9110 §8.4), whether or not they were asked for. `null`: it is larger than
 * `maxBodyBytes` then. Throws what zlib throws for what is not packed as it says.
 */
export function unpack(packed: Buffer, contentEncoding: string | undefined): Buffer | null {
  const codings = (contentEncoding ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (codings.length > mostCodings) throw new Error('packed too many times over');
  // Servers name what is no coding, such as a character set; and the one of a body that is not there.
  if (packed.length === 0 || codings.some((coding) => !known.has(coding))) return packed;
  try {
    return codings.reduceRight((body, coding) => known.get(coding)?.(body) ?? body, packed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw error;
  }
}
