/** Milliseconds of work after which all else that waits in the process has its turn. */
const workTime = 2;

/** How often the sockets are looked at in the cheap way, which does not work where processors are short, before it is done for sure. */
const cheapLooks = 9;

/** Has Deno look at the sockets, which it does about every 60 turns of the event loop alone as long as it has something to do. */
export class SocketLooks {
  #count = 0;

  /** Leaves Deno nothing to do but to wait: only then does it look. */
  async next(): Promise<void> {
    // Another thread takes less than the shortest timer, a millisecond; it may be done before Deno waits.
    if (this.#count++ < cheapLooks) await crypto.subtle.digest("SHA-256", new Uint8Array(0));
    else {
      this.#count = 0;
      await new Promise<void>((resolve) => void setTimeout(resolve, 0));
    }
  }
}

/**
 * Interrupts work that would go on for as long as its data lasts: in Deno what reads a socket that has more, or writes to
 * one that has room, never goes back to the event loop by itself, and all other connections wait. Elsewhere both do.
 */
export class GiveWay implements AsyncDisposable {
  readonly #isNeeded = "Deno" in globalThis;
  #lookedAt: number = performance.now();
  readonly #looks = new SocketLooks();
  #looking: Promise<void> | null = null;

  /** Whether the work may go on; else it waits for {@linkcode look} first. */
  get hasTime(): boolean {
    if (!this.#isNeeded) return true;
    return this.#looking === null && performance.now() - this.#lookedAt < workTime;
  }

  /** Resolves when all that waited has had its turn, for everybody who has asked meanwhile. */
  look(): Promise<void> {
    return this.#looking ??= this.#look();
  }

  /** Resolves when nothing is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looking;
  }

  async #look(): Promise<void> {
    await this.#looks.next();
    this.#looking = null;
    this.#lookedAt = performance.now();
  }
}
