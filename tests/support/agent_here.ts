import { runCommand } from "../../agent/cli/commands.ts";
import { failureOf } from "../../agent/cli/failure.ts";
import { printable } from "../../agent/cli/print.ts";
import { keySource } from "./agent.ts";
import "./prefer_openssl.ts";
import type { Outcome } from "./server_process.ts";
import { soon } from "./wait.ts";

/** Runs a command of the agent in this process, which takes a tenth of the time; see `agent/main.ts`. */
export function agentHere(...args: readonly string[]): Promise<Outcome> {
  return agentUntil(new AbortController().signal, args);
}

/** The same until a signal; `printed` and `told` hear each line, and `input` is what the standard input has. */
export async function agentUntil(
  signal: AbortSignal,
  args: readonly string[],
  { printed = () => {}, told = () => {}, input = new Uint8Array() }: {
    readonly printed?: (line: string) => void;
    readonly told?: (line: string) => void;
    readonly input?: Uint8Array<ArrayBuffer>;
  } = {},
): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  const none = () => Promise.resolve(null);
  const decoder = new TextDecoder();
  const tell = (line: string) => {
    stderr += `${printable(line)}\n`;
    told(printable(line));
  };
  try {
    await runCommand(args, {
      write(bytes) {
        stdout += decoder.decode(bytes, { stream: true });
        return Promise.resolve();
      },
      print(line) {
        stdout += `${line}\n`;
        printed(line);
        return Promise.resolve();
      },
      tell,
      isTerminal: false,
      isInputTerminal: false,
      terminal: null,
      readSome: none,
      readInput: () => Promise.resolve(input),
      ask: none,
      askSecret: none,
      signal,
      keys: keySource(),
    }, "");
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { text, code } = failureOf(error, 130);
    tell(text);
    return { code, stdout, stderr };
  }
}

/** A command of the agent that runs in this process; what it prints is read line by line. */
export class CommandHere implements AsyncDisposable {
  readonly #ending = new AbortController();
  readonly #printed = new Lines();
  readonly #told = new Lines();
  readonly #outcome: Promise<Outcome>;

  constructor(args: readonly string[]) {
    this.#outcome = agentUntil(this.#ending.signal, args, {
      printed: (line) => this.#printed.add(line),
      told: (line) => this.#told.add(line),
    });
  }

  /** The next line that it prints. */
  line(): Promise<string> {
    return this.#printed.next(this.#outcome);
  }

  /** The next line that it tells on the standard error. */
  told(): Promise<string> {
    return this.#told.next(this.#outcome);
  }

  /** Ends it as Ctrl-C does. */
  interrupt(): void {
    this.#ending.abort();
  }

  /** Waits for its end; gives what was not read of its output. */
  async end(): Promise<Outcome> {
    const { code, stdout, stderr } = await soon(this.#outcome);
    return { code, stdout: stdout.slice(this.#printed.read), stderr: stderr.slice(this.#told.read) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.interrupt();
    await this.end();
  }
}

/** Lines that come while they are read. */
class Lines {
  /** How many characters were read. */
  read = 0;
  readonly #lines: string[] = [];
  #wake = () => {};

  add(line: string): void {
    this.#lines.push(line);
    this.#wake();
  }

  /** The next line; rejects when everything has ended without one. */
  async next(ended: Promise<unknown>): Promise<string> {
    let isOver = false;
    while (this.#lines.length === 0) {
      if (isOver) throw new Error("it has ended");
      const added = new Promise<void>((resolve) => this.#wake = resolve);
      await soon(Promise.race([ended.then(() => void (isOver = true)), added]));
    }
    const line = this.#lines.shift()!;
    this.read += line.length + 1;
    return line;
  }
}
