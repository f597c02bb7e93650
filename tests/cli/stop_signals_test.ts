import { assertEquals } from "@std/assert";
import { onStopSignal } from "../../cli/stop_signals.ts";
import { Signals } from "../../server/commands/signals.ts";

/** Has signals, and time, come when a test says so. */
class FakeProcess implements Disposable {
  readonly #original = {
    addSignalListener: Deno.addSignalListener,
    removeSignalListener: Deno.removeSignalListener,
    unrefTimer: Deno.unrefTimer,
  };
  readonly #setTimeout = globalThis.setTimeout;
  readonly #listeners = new Map<Deno.Signal, () => void>();
  readonly #timers: { readonly run: () => void; readonly delay: number }[] = [];

  constructor() {
    Object.assign(Deno, {
      addSignalListener: (signal: Deno.Signal, run: () => void) => void this.#listeners.set(signal, run),
      removeSignalListener: (signal: Deno.Signal) => void this.#listeners.delete(signal),
      unrefTimer: () => {},
    });
    Object.assign(globalThis, {
      setTimeout: (run: () => void, delay: number) => this.#timers.push({ run, delay }),
    });
  }

  /** What a signal does: it is listened to, or ends the process. */
  comes(signal: Deno.Signal): "heard" | "ends" {
    const run = this.#listeners.get(signal);
    run?.();
    return run === undefined ? "ends" : "heard";
  }

  /** Lets so many milliseconds pass since the first signal. */
  passed(milliseconds: number): void {
    for (const { run, delay } of this.#timers) if (delay <= milliseconds) run();
  }

  [Symbol.dispose](): void {
    Object.assign(Deno, this.#original);
    Object.assign(globalThis, { setTimeout: this.#setTimeout });
  }
}

/** Listens as a program does; gives how often it was told to stop. */
const programs: Readonly<Record<string, () => () => number>> = {
  "the server"() {
    let count = 0;
    new Signals().stop.addEventListener("abort", () => count++);
    return () => count;
  },
  "the agent and smp"() {
    let count = 0;
    onStopSignal(() => count++);
    return () => count;
  },
};

for (const [name, start] of Object.entries(programs)) {
  Deno.test(`Ctrl-C that comes twice within half a second is one for ${name}, and a later one ends it`, () => {
    using process = new FakeProcess();
    const count = start();
    assertEquals([process.comes("SIGINT"), count()], ["heard", 1]);
    process.passed(499);
    assertEquals([process.comes("SIGINT"), count()], ["heard", 1]);
    process.passed(500);
    assertEquals([process.comes("SIGINT"), count()], ["ends", 1]);
  });

  Deno.test(`any signal after SIGTERM ends ${name}`, () => {
    for (const second of ["SIGINT", "SIGTERM"] as const) {
      using process = new FakeProcess();
      const count = start();
      assertEquals([process.comes("SIGTERM"), count()], ["heard", 1]);
      process.passed(0);
      assertEquals([process.comes(second), count()], ["ends", 1]);
    }
  });
}
