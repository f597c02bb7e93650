/** Milliseconds between two looks. */
const lookInterval = 1_000;

/** A status and when it was given, in milliseconds of a clock that does not go back. */
export interface Look<Status> {
  readonly status: Status;
  readonly at: number;
}

/** How large the terminal is. */
export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** What is watched, and how it is shown. */
export interface LiveView<Status> {
  look(): Promise<Status>;
  /** The lines for a screen; `last` is the look before. */
  lines(look: Look<Status>, last: Look<Status> | null, size: ScreenSize): readonly string[];
}

/** Whether there is a terminal for {@linkcode watchLive}. */
export function canWatch(): boolean {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
}

/** What ends a view from outside. */
const signals = ["SIGINT", "SIGTERM"] as const;

/**
 * Shows a status once a second until q, Ctrl-C or a signal, which it gives: also while a look takes long. Throws what a
 * look throws. The terminal is as it was then.
 */
export async function watchLive<Status>(
  { look, lines }: LiveView<Status>,
): Promise<typeof signals[number] | null> {
  const write = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  const ending = new AbortController();
  let last: Look<Status> = { status: await look(), at: performance.now() };
  let previous: Look<Status> | null = null;
  let ended: typeof signals[number] | null = null;
  const listeners = signals.map((signal) => () => {
    ended ??= signal;
    ending.abort();
  });
  signals.forEach((signal, i) => Deno.addSignalListener(signal, listeners[i]!));
  try {
    Deno.stdin.setRaw(true);
    // Another screen, without a cursor.
    write("\x1b[?1049h\x1b[?25l");
    void untilKey(ending);
    for (;;) {
      const shown = lines(last, previous, Deno.consoleSize());
      write(`\x1b[H${shown.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
      await pause(lookInterval, ending.signal);
      const status = await unlessEnded(look, ending.signal);
      if (status === null) return ended;
      [previous, last] = [last, { status, at: performance.now() }];
    }
  } finally {
    write("\x1b[?25h\x1b[?1049l");
    Deno.stdin.setRaw(false);
    signals.forEach((signal, i) => Deno.removeSignalListener(signal, listeners[i]!));
  }
}

/** `null` as soon as the signal aborts. */
async function unlessEnded<Status>(look: () => Promise<Status>, signal: AbortSignal): Promise<Status | null> {
  if (signal.aborted) return null;
  const ended = Promise.withResolvers<null>();
  const end = () => ended.resolve(null);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([ended.promise, look()]);
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    signal.removeEventListener("abort", end);
  }
}

async function untilKey(ending: AbortController): Promise<void> {
  const bytes = new Uint8Array(16);
  for (;;) {
    const count = await Deno.stdin.read(bytes);
    // q, Ctrl-C and Ctrl-D
    if (count === null || bytes.subarray(0, count).some((key) => [113, 3, 4].includes(key))) {
      return ending.abort();
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
