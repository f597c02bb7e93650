/** Milliseconds in which Ctrl-C comes twice where npx runs the program: from the terminal, and passed on. */
const twin = 500;

/** What asks a program to end. */
export type StopSignal = "SIGINT" | "SIGTERM";

/**
 * Tells `stop` of the first signal to end. A second one ends the program at once, but for a SIGINT right after the first.
 * Disposed, it listens to none.
 */
export function onStopSignal(stop: (signal: StopSignal) => void): Disposable {
  const listeners = new Map<StopSignal, () => void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const forget = (signal: StopSignal) => {
    const listener = listeners.get(signal);
    listeners.delete(signal);
    if (listener !== undefined) Deno.removeSignalListener(signal, listener);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const listener = () => {
      if (timer !== undefined) return;
      forget("SIGTERM");
      timer = setTimeout(() => forget("SIGINT"), signal === "SIGINT" ? twin : 0);
      stop(signal);
    };
    listeners.set(signal, listener);
    Deno.addSignalListener(signal, listener);
  }
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      forget("SIGINT");
      forget("SIGTERM");
    },
  };
}

/** The code that a program ends with after a signal. */
export function stopCode(signal: StopSignal): number {
  return signal === "SIGINT" ? 130 : 143;
}
