import { type OpenedToken, type SealedPlace, type Sealer, TokenSealer } from './sealing/token-sealer.ts';
import { type SecretReader, SecretUnusable } from './secrets/secret-reader.ts';

/** A sealer whose keys have to be read first. */
export interface LoadedSealer extends Sealer {
  /** Throws when there are no keys to work with. */
  load(): Promise<unknown>;
}

/** The sealer with the keys of a secret. */
export class SecretSealer implements LoadedSealer {
  readonly #secrets: SecretReader;
  readonly #secretId: string;
  #latest: { readonly secret: string; readonly sealer: TokenSealer } | undefined;

  constructor(secrets: SecretReader, secretId: string) {
    this.#secrets = secrets;
    this.#secretId = secretId;
  }

  /** Reads the keys. Throws `SecretUnusable` or `TokenKeyError` when there is nothing to work with. */
  async load(): Promise<TokenSealer> {
    const secret = await this.#secrets.get(this.#secretId);
    if (secret === null) {
      this.#secrets.forget(this.#secretId);
      throw new SecretUnusable(`The token key secret ${this.#secretId} does not exist or is empty.`);
    }
    if (this.#latest?.secret !== secret) {
      const sealer = await TokenSealer.fromSecret(secret).catch((error) => {
        this.#secrets.forget(this.#secretId);
        throw error;
      });
      this.#latest = { secret, sealer };
    }
    return this.#latest.sealer;
  }

  async seal(token: string, place: SealedPlace): Promise<string> {
    // With the keys that were read last: a call to Secrets Manager must not stand between a provider's answer and the row.
    return (this.#latest?.sealer ?? (await this.load())).seal(token, place);
  }

  /** A slip in the secret must not keep an attempt from its token: the keys that were read last still open it. */
  async #sealer(): Promise<TokenSealer> {
    try {
      return await this.load();
    } catch (error) {
      if (this.#latest === undefined) throw error;
      return this.#latest.sealer;
    }
  }

  async open(stored: string, place: SealedPlace): Promise<OpenedToken> {
    const opened = await (await this.#sealer()).open(stored, place);
    if (opened.ok || opened.reason !== 'unknown_key') return opened;
    // Another environment may have sealed with a key that was rotated in since we read the secret.
    this.#secrets.forget(this.#secretId);
    return (await this.#sealer()).open(stored, place);
  }
}
