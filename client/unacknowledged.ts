/** The messages of a queue that its subscription has delivered and that are not acknowledged, by their IDs, oldest first. */
export class Unacknowledged {
  readonly #delivered: string[] = [];
  /** Those whose acknowledgement has no answer yet, also when a new subscription delivers them again meanwhile. */
  readonly #acknowledging = new Set<string>();

  /** How many there are. */
  get size(): number {
    return this.#delivered.length;
  }

  /** Whether a message is one of them. */
  has(messageId: string): boolean {
    return this.#delivered.includes(messageId);
  }

  /** A message has come. */
  add(messageId: string): void {
    this.#delivered.push(messageId);
  }

  /** A subscription begins, which delivers again what is not acknowledged. */
  clear(): void {
    this.#delivered.length = 0;
  }

  /**
   * A message, or the oldest one, is being acknowledged: gives its ID; `null` when it is not there, or is being acknowledged
   * already.
   */
  begin(messageId?: string): string | null {
    const isDue = (id: string) => !this.#acknowledging.has(id) && (messageId ?? id) === id;
    const due = this.#delivered.find(isDue);
    if (due === undefined) return null;
    this.#acknowledging.add(due);
    return due;
  }

  /** The server has not done it. */
  undo(messageId: string): void {
    this.#acknowledging.delete(messageId);
  }

  /** The server has done it, or may have: for a message and all before it. */
  end(messageId: string): void {
    this.#acknowledging.delete(messageId);
    this.#delivered.splice(0, this.#delivered.indexOf(messageId) + 1);
  }
}
