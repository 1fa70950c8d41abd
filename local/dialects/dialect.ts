/** An answer of a token endpoint. An object is sent as JSON, a string as it is. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | object;
}

/** What a refresh brought, before a dialect puts it into words. */
export interface Issued {
  readonly accessToken: string;
  /** The one that is good from now on; a dialect that keeps refresh tokens may leave it out of its answer. */
  readonly refreshToken: string;
  /** Of the server's clock. */
  readonly atMs: number;
}

/** A request as it came over the wire. */
export interface RawRequest {
  readonly method: string;
  /** Path and query, undecoded. */
  readonly target: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * How a client says who it is. `basic`: RFC 6749 §2.3.1, id and secret form-encoded. `basic_key`: the secret key as
 * user name with an empty password. `parameters`: id and secret among the parameters. `public`: the id alone among
 * them. `nothing`: not at all.
 */
export type ClientScheme = 'basic' | 'basic_key' | 'parameters' | 'public' | 'nothing';

/** How a provider's token endpoint wants to be asked, and how it answers. */
export interface Dialect {
  /** Paths that take refreshes; `{name}` stands for what differs by tenant. */
  readonly paths: readonly string[];
  readonly method?: 'GET';
  /** How parameters may travel. */
  readonly encodings: readonly ('form' | 'json' | 'query')[];
  readonly client: readonly ClientScheme[];
  readonly clientIdParameter?: string;
  readonly grantType?: string;
  readonly tokenParameter?: string;
  /** The token stands in the Authorization header instead of a parameter. */
  readonly tokenAsBearer?: boolean;
  /** Parameters that may come beside token, grant type and client, with what they must be. */
  readonly optional?: Readonly<Record<string, RegExp>>;
  /**
   * `new`: a refresh ends the refresh token that was used, after the grace. `same`: it stays what it is.
   * `exchange`: an access token is exchanged for a new one; there is no refresh token.
   */
  readonly rotation: 'new' | 'same' | 'exchange';
  /** For so long a spent refresh token is taken all the same. */
  readonly graceSeconds?: number;
  /** What a spent refresh token brings within the grace: the pair that replaced it, or yet another. */
  readonly replay?: 'successor' | 'another';
  /** What a spent refresh token does after the grace; `kills`: the grant ends, its good token as well. */
  readonly reuse?: 'refused' | 'kills';
  /** An answer that a request gets before anything else is looked at, and why; such as one without its header. */
  readonly objection?: (request: RawRequest) => { readonly why: string; readonly answer: Answer } | null;
  /** How an access token looks, where it is more than a random string. */
  readonly accessToken?: (random: string, atMs: number) => string;
  readonly success: (issued: Issued) => Answer;
  /** The refresh token is spent, revoked or unknown. */
  readonly deadGrant: Answer;
  /** The client is unknown, or its secret is another. */
  readonly wrongClient: Answer;
  readonly rateLimit: (atMs: number) => Answer;
  readonly outage: Answer;
}
