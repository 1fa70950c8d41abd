/** What became of one result in a commit. */
export type CommitVerdict =
  | 'applied'
  /** The row holds another grant, belongs to a later claim, or its user took it out: the result is void. */
  | 'superseded'
  | 'gone'
  /** Somebody else is changing the row right now: try again. */
  | 'locked';
