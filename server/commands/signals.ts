/** Milliseconds in which Ctrl-C comes twice where npx runs the program: from the terminal, and passed on. */
const twin = 500;

export class Signals {
  readonly #stop = new AbortController();
  readonly #listeners = new Map<Deno.Signal, () => void>();
  #reload: (() => Promise<void>) | null = null;
  #isReloadDue = false;
  #isReloading = false;

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) this.#listen(signal, () => this.#onStop(signal));
    if (Deno.build.os !== "windows") this.#listen("SIGHUP", () => this.#onReload());
  }

  /** SIGINT or SIGTERM; a second one ends the process at once, but for a SIGINT right after the first. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** As a signal would. */
  end(): void {
    if (!this.stop.aborted) this.#onStop("SIGTERM");
  }

  onReload(reload: () => Promise<void>): void {
    this.#reload = reload;
    if (this.#isReloadDue) this.#onReload();
  }

  pause(): Disposable {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
    return {
      [Symbol.dispose]: () => {
        for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
      },
    };
  }

  #listen(signal: Deno.Signal, listener: () => void): void {
    this.#listeners.set(signal, listener);
    Deno.addSignalListener(signal, listener);
  }

  #onStop(by: "SIGINT" | "SIGTERM"): void {
    if (this.stop.aborted) return;
    const forget = (signal: Deno.Signal) => Deno.removeSignalListener(signal, this.#listeners.get(signal)!);
    forget("SIGTERM");
    if (by === "SIGTERM") forget("SIGINT");
    else Deno.unrefTimer(setTimeout(() => forget("SIGINT"), twin));
    this.#stop.abort();
  }

  async #onReload(): Promise<void> {
    this.#isReloadDue = true;
    if (this.#reload === null || this.#isReloading) return;
    this.#isReloading = true;
    while (this.#isReloadDue && !this.stop.aborted) {
      this.#isReloadDue = false;
      await this.#reload();
    }
    this.#isReloading = false;
  }
}
