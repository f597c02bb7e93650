import { writeOutput } from "../../cli/output.ts";
import { printable } from "./print.ts";
import { Interrupted, type Surroundings } from "./command.ts";

/** The surroundings of a command in this process. */
export function processSurroundings(signal: AbortSignal): Surroundings {
  return {
    write: writeOutput,
    print: (line) => writeOutput(new TextEncoder().encode(`${line}\n`)),
    tell,
    isTerminal: Deno.stdout.isTerminal(),
    isInputTerminal: Deno.stdin.isTerminal(),
    terminal: Deno.stderr.isTerminal() ? { show, columns } : null,
    readSome: (into) => unlessAborted(Deno.stdin.read(into), signal),
    readInput: (most, isLine = false) =>
      unlessAborted(readAtMost(Deno.stdin, { most, name: "the standard input", isLine }), signal),
    ask: (question) => ask(question, signal),
    askSecret: (question) => askSecret(question, signal),
    signal,
  };
}

/** Prints a line on the standard error; what others have sent in it cannot make two of it. */
export function tell(line: string): void {
  // deno-lint-ignore no-console
  console.error(printable(line));
}

const newline = 10;

/** Reads something to its end. Throws when it has more than `most` bytes; `name` is what it is called then. */
export async function readAtMost(
  source: { read(into: Uint8Array): Promise<number | null> },
  { most, name, isLine = false }: {
    readonly most: number;
    readonly name: string;
    /** Ends after a line too. */
    readonly isLine?: boolean;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(most + 1);
  let length = 0;
  for (let count; (count = await source.read(bytes.subarray(length))) !== null;) {
    length += count;
    if (length > most) throw new Error(`${name} has more than ${most} bytes`);
    if (isLine && bytes.subarray(length - count, length).includes(newline)) break;
  }
  return bytes.slice(0, length);
}

async function ask(question: string, signal: AbortSignal): Promise<boolean | null> {
  if (!Deno.stdin.isTerminal()) return null;
  show(`${question} [y/N] `);
  const answer = await unlessAborted(readLine(), signal);
  if (answer === null) show("\n");
  return /^\s*y(es)?\s*$/i.test(answer ?? "");
}

async function askSecret(question: string, signal: AbortSignal): Promise<string | null> {
  if (!Deno.stdin.isTerminal()) return null;
  show(question);
  Deno.stdin.setRaw(true, { cbreak: true });
  try {
    return await unlessAborted(readLine(), signal);
  } finally {
    Deno.stdin.setRaw(false);
    show("\n");
  }
}

function show(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** The next line of the terminal; `null` when there is none. */
async function readLine(): Promise<string | null> {
  const bytes = new Uint8Array(1024);
  const decoder = new TextDecoder();
  for (let line = "";;) {
    const count = await Deno.stdin.read(bytes);
    if (count === null) return line === "" ? null : line;
    line += decoder.decode(bytes.subarray(0, count), { stream: true });
    const end = line.search(/[\r\n]/);
    if (end >= 0) return line.slice(0, end);
    if (line.length > bytes.length) return line;
  }
}

/** What a promise gives, or {@linkcode Interrupted} when the signal aborts before. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(new Interrupted("interrupted"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
