import { ControlError } from "../../cli/json.ts";
import { LineChannel } from "./line_channel.ts";
import { type FromWorker, readFromWorker, type StartMessage, type ToWorker } from "./messages.ts";

const lingerTime = 5_000;

/** How a worker's process is started. */
export interface WorkerCommand {
  readonly program: string;
  readonly args: readonly string[];
}

/** A worker's process, from when it is started; it ends when nothing holds the other end of its input. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #channel: LineChannel;
  #problem: string | null = null;
  /** Resolves with what has ended it, in words; never rejects. */
  readonly ended: Promise<string>;

  private constructor(child: Deno.ChildProcess, onMessage: (message: FromWorker) => void) {
    this.#child = child;
    this.#channel = new LineChannel({ readable: child.stdout, writable: child.stdin });
    this.ended = this.#run(onMessage);
  }

  /** Throws what the system says when the program cannot be run. */
  static spawn(
    { program, args }: WorkerCommand,
    { start, onMessage }: { readonly start: StartMessage; readonly onMessage: (message: FromWorker) => void },
  ): WorkerProcess {
    const command = new Deno.Command(program, { args: [...args], stdin: "piped", stdout: "piped" });
    const worker = new WorkerProcess(command.spawn(), onMessage);
    worker.send(start);
    return worker;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** A worker that does not read is killed. */
  send(message: ToWorker): void {
    try {
      this.#channel.send(message);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      this.kill("it does not read");
    }
  }

  kill(problem: string): void {
    this.#problem ??= problem;
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("it was killed");
    await this.ended;
  }

  async #run(onMessage: (message: FromWorker) => void): Promise<string> {
    try {
      for await (const line of this.#channel.lines()) {
        const message = readFromWorker(line);
        if (message.type === "fatal") this.#problem ??= message.message;
        onMessage(message);
      }
    } catch (error) {
      this.kill(`it has sent what is no message: ${(error as Error).message}`);
    }
    // Who has closed its output is about to end.
    const timer = setTimeout(() => this.kill("it has closed its output"), lingerTime);
    const { code, signal } = await this.#child.status;
    clearTimeout(timer);
    await this.#channel[Symbol.asyncDispose]();
    return this.#problem ?? (signal === null ? `exit code ${code}` : signal);
  }
}
