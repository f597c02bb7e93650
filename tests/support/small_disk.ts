import { temporaryFolder } from "./server_process.ts";

const namespace = ["--user", "--map-root-user", "--mount"];

/** A disk of some megabytes that processes see which are started through it. */
export class SmallDisk implements AsyncDisposable {
  /** Where it is for those processes. */
  readonly path: string;
  readonly #folder: AsyncDisposable;
  /** Keeps the namespace while nothing else runs in it. */
  readonly #holder: Deno.ChildProcess;

  private constructor(path: string, folder: AsyncDisposable, holder: Deno.ChildProcess) {
    this.path = path;
    this.#folder = folder;
    this.#holder = holder;
  }

  static async make(megabytes: number): Promise<SmallDisk> {
    const folder = await temporaryFolder();
    const script = `mount -t tmpfs -o size=${megabytes}m tmpfs "$1" && echo mounted && exec cat`;
    const holder = new Deno.Command("unshare", {
      args: [...namespace, "sh", "-c", script, "sh", folder.path],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    const disk = new SmallDisk(folder.path, folder, holder);
    if (value !== undefined) return disk;
    await disk[Symbol.asyncDispose]();
    throw new Error("the disk could not be mounted");
  }

  /** What a command begins with whose process is to see the disk; the process is that of the command. */
  get wrapper(): readonly string[] {
    return ["nsenter", "--target", `${this.#holder.pid}`, "--user", "--preserve-credentials", "--mount"];
  }

  /** Leaves no room. */
  async fill(): Promise<void> {
    // It fails when there is no room left.
    await this.#run(
      "dd",
      "if=/dev/zero",
      `of=${this.path}/ballast`,
      "bs=64k",
      "oflag=append",
      "conv=notrunc",
    );
  }

  /** Gives back the room that {@linkcode fill} took. */
  async free(): Promise<void> {
    await this.#run("rm", "-f", `${this.path}/ballast`);
  }

  async #run(...command: string[]): Promise<void> {
    const [program, ...args] = [...this.wrapper, ...command];
    await new Deno.Command(program!, { args, stdout: "null", stderr: "null" }).output();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.stdin.close().catch(() => {});
    await this.#holder.stdout.cancel().catch(() => {});
    await this.#holder.status;
    await this.#folder[Symbol.asyncDispose]();
  }
}
