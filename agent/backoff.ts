/** How often something that failed is tried again. */
export interface Backoff {
  /** Milliseconds before the second try. */
  readonly first: number;
  /** Milliseconds that are not exceeded. */
  readonly most: number;
  /** By how much each delay is longer than the one before. @default 1.5 */
  readonly factor?: number;
}

/** Milliseconds before the try after `failures` failures (1 or more), up to a quarter less by chance so that many do not try at once. */
export function backoffDelay({ first, most, factor = 1.5 }: Backoff, failures: number): number {
  const delay = Math.min(most, first * factor ** (failures - 1));
  return delay * (1 - Math.random() / 4);
}

/** A pause that can be cut short. */
export class Pause {
  #end: (() => void) | null = null;

  /** Resolves after `milliseconds`, or earlier when {@linkcode Pause.end} is called. */
  async wait(milliseconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#end = resolve;
      timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    this.#end = null;
  }

  /** Ends the pause under way. */
  end(): void {
    this.#end?.();
  }
}
