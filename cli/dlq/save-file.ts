import { type FileHandle, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { CliError } from '../command.ts';
import type { DeadLetter } from './dead-letter.ts';

/**
 * A new file that keeps discarded messages whole, one JSON document a line. Readable by its owner alone: the bodies
 * are as they came, whoever sent them.
 */
export class SaveFile {
  readonly path: string;
  readonly #file: FileHandle;
  #lines = 0;
  /** Lines of one batch are written together. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(filePath: string, file: FileHandle) {
    this.path = filePath;
    this.#file = file;
  }

  /** Throws `CliError` when there is such a file, or none can be made. */
  static async create(filePath: string): Promise<SaveFile> {
    try {
      const file = await open(filePath, 'wx', 0o600);
      await syncFolder(path.dirname(filePath));
      return new SaveFile(filePath, file);
    } catch (error) {
      throw new CliError(
        'save_file_unusable',
        `${filePath} cannot be made (${(error as NodeJS.ErrnoException).code}): name a file that does not exist, in a folder that does.`,
        { cause: error },
      );
    }
  }

  /** Resolves when the messages are on disk. */
  append(letters: readonly DeadLetter[]): Promise<void> {
    const lines = letters.map((letter) => `${JSON.stringify(savedMessage(letter))}\n`).join('');
    this.#writing = this.#writing.then(async () => {
      await this.#file.appendFile(lines);
      await this.#file.sync();
      this.#lines += letters.length;
    });
    return this.#writing;
  }

  /** Takes the file away when nothing stands in it. */
  async close(): Promise<void> {
    await this.#file.close();
    if (this.#lines === 0) await rm(this.path);
  }
}

/** Everything that is needed to send it again. */
function savedMessage(letter: DeadLetter): object {
  const { queue, messageId, sentAt, receiveCount, groupId, provider, body, attributes } = letter;
  return {
    queue,
    messageId,
    sentAt,
    receiveCount,
    groupId,
    provider,
    body,
    // As the AWS command line takes them: `BinaryValue` in base64.
    attributes: Object.fromEntries(
      Object.entries(attributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
        name,
        {
          DataType,
          ...(StringValue !== undefined && { StringValue }),
          ...(BinaryValue !== undefined && { BinaryValue: Buffer.from(BinaryValue).toString('base64') }),
        },
      ]),
    ),
  };
}

/** So that the file's name outlives a power cut as well. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
