/** A way to break the code, and what must notice it. */
export interface Mutation {
  readonly name: string;
  /** What is wrong then. */
  readonly what: string;
  readonly file: string;
  /** Occurs once in the file. */
  readonly from: string;
  readonly to: string;
  /** Test files of which one must fail; `model`: the agent's model. */
  readonly tests: readonly string[];
}
