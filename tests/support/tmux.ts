import { patience } from "./wait.ts";

/** A program in a terminal of tmux. */
export class TmuxTerminal implements AsyncDisposable {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** Starts a command in a terminal that is wide enough for invitations; `socket` is a path for tmux alone. */
  static async start(socket: string, command: readonly string[]): Promise<TmuxTerminal> {
    const terminal = new TmuxTerminal(socket);
    const shell = command.map((word) => `'${word}'`).join(" ");
    await terminal.#run("new-session", "-d", "-x", "1200", "-y", "50", `${shell}; cat`);
    return terminal;
  }

  /** Types a line. */
  async type(text: string): Promise<void> {
    await this.#run("send-keys", "-l", text);
    await this.#run("send-keys", "Enter");
  }

  /** Presses keys by tmux's names, `C-c` for instance. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#run("send-keys", ...keys);
  }

  /** What is on the screen, with colours as escape sequences if they are asked for. */
  screen({ colours = false } = {}): Promise<string> {
    return this.#run("capture-pane", "-p", "-S", "-1000", ...(colours ? ["-e"] : []));
  }

  /** Waits until a line matches; gives it. */
  async line(pattern: RegExp): Promise<string> {
    const end = performance.now() + patience;
    for (;;) {
      const screen = await this.screen();
      const found = screen.split("\n").find((line) => pattern.test(line));
      if (found !== undefined) return found;
      if (performance.now() > end) throw new Error(`there is no ${pattern} on the screen:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run("kill-server");
  }

  async #run(command: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await new Deno.Command("tmux", {
      args: ["-S", this.#socket, "-f", "/dev/null", command, ...args],
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  }
}
