import { patience } from "./wait.ts";

/** How large a terminal is, in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A program in a terminal of tmux. */
export class TmuxTerminal implements AsyncDisposable {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** Starts a command in a terminal, by default wide enough for invitations; `folder` is where its socket may be. */
  static async start(
    folder: string,
    command: readonly string[],
    { columns, rows }: Size = { columns: 1200, rows: 50 },
  ): Promise<TmuxTerminal> {
    // A tmux that was killed still takes commands on its socket for a moment, and drops them.
    const terminal = new TmuxTerminal(`${folder}/${crypto.randomUUID().slice(0, 8)}.tmux`);
    const words = command.map((word) => `'${word}'`).join(" ");
    const shell = `${words}; printf '\\nended with %d.\\n' $?; cat`;
    await terminal.#run("new-session", "-d", "-x", `${columns}`, "-y", `${rows}`, shell);
    return terminal;
  }

  /** Waits for the program's end; gives its exit code. */
  async ended(): Promise<number> {
    const ended = /^ended with (\d+)\./;
    const [, code] = ended.exec(await this.line(ended))!;
    return Number(code);
  }

  /** Types a line. */
  async type(text: string): Promise<void> {
    await this.typePart(text);
    await this.#run("send-keys", "Enter");
  }

  /** Types without ending the line. */
  async typePart(text: string): Promise<void> {
    await this.#run("send-keys", "-l", "--", text);
  }

  /** Changes the size of the terminal; resolves when a program that asks for it is told the new one. */
  async resize({ columns, rows }: Size): Promise<void> {
    await this.#run("resize-window", "-x", `${columns}`, "-y", `${rows}`);
    const terminal = (await this.#run("display-message", "-p", "#{pane_tty}")).trim();
    const end = performance.now() + patience;
    for (;;) {
      const { stdout } = await new Deno.Command("stty", { args: ["-F", terminal, "size"] }).output();
      if (new TextDecoder().decode(stdout).trim() === `${rows} ${columns}`) return;
      if (performance.now() > end) throw new Error("the terminal does not change its size");
    }
  }

  /** Presses keys by tmux's names, `C-c` for instance. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#run("send-keys", ...keys);
  }

  /** Sends a signal to the program. */
  async signal(signal: Deno.Signal): Promise<void> {
    const shell = (await this.#run("display-message", "-p", "#{pane_pid}")).trim();
    const { stdout } = await new Deno.Command("ps", { args: ["-o", "pid=", "--ppid", shell] }).output();
    Deno.kill(Number(new TextDecoder().decode(stdout).trim()), signal);
  }

  /** Whether there is one screen, with a cursor, as before the program began. */
  async isRestored(): Promise<boolean> {
    return (await this.#run("display-message", "-p", "#{alternate_on}#{cursor_flag}")).trim() === "01";
  }

  /** What is on the screen, with colours as escape sequences if they are asked for. */
  screen({ colours = false } = {}): Promise<string> {
    return this.#run("capture-pane", "-p", "-S", "-1000", ...(colours ? ["-e"] : []));
  }

  /** What can be seen of the screen, with colours as escape sequences. */
  visible(): Promise<string> {
    return this.#run("capture-pane", "-p", "-e");
  }

  /** Waits until all that is on the screen, without white space and with it the ends of lines, matches; gives it. */
  async packed(pattern: RegExp): Promise<string> {
    const end = performance.now() + patience, pause = pauses();
    for (;;) {
      const screen = await this.screen();
      const packed = screen.replaceAll(/\s/g, "");
      if (pattern.test(packed)) return packed;
      if (performance.now() > end) throw new Error(`there is no ${pattern} on the screen:\n${screen}`);
      await pause();
    }
  }

  /** Waits until a line matches; gives it. */
  async line(pattern: RegExp): Promise<string> {
    const end = performance.now() + patience, pause = pauses();
    for (;;) {
      const screen = await this.screen();
      const found = screen.split("\n").find((line) => pattern.test(line));
      if (found !== undefined) return found;
      if (performance.now() > end) throw new Error(`there is no ${pattern} on the screen:\n${screen}`);
      await pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run("kill-server");
  }

  async #run(command: string, ...args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await new Deno.Command("tmux", {
      args: ["-u", "-S", this.#socket, "-f", "/dev/null", command, ...args],
    }).output();
    const decoder = new TextDecoder();
    if (!success) throw new Error(`tmux ${command}: ${decoder.decode(stderr).trim()}`);
    return decoder.decode(stdout);
  }
}

/** Pauses that become longer: to look at a screen takes a process. */
function pauses(): () => Promise<void> {
  let time = 20;
  return () => {
    time = Math.min(200, time * 1.5);
    return new Promise((resolve) => setTimeout(resolve, time));
  };
}
