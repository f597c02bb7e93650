export class Signals {
  readonly #stop = new AbortController();
  readonly #listeners = new Map<Deno.Signal, () => void>();
  #reload: (() => Promise<void>) | null = null;
  #isReloadDue = false;
  #isReloading = false;

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) this.#listen(signal, () => this.#onStop());
    if (Deno.build.os !== "windows") this.#listen("SIGHUP", () => this.#onReload());
  }

  /** SIGINT or SIGTERM; a second one ends the process at once. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** As a signal would. */
  end(): void {
    if (!this.stop.aborted) this.#onStop();
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

  #onStop(): void {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.removeSignalListener(signal, this.#listeners.get(signal)!);
    }
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
