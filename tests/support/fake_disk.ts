import type { LogFile, LogIo } from "../../server/store/log_io.ts";

interface Content {
  text: string;
  /** What a power cut leaves of it. */
  synced: string;
}

/** Files in memory that know what a power cut would leave, and fail on demand. */
export class FakeDisk implements LogIo {
  readonly #files = new Map<string, Content>();
  /** The names as a power cut would leave them. */
  #syncedNames = new Map<string, Content>();
  /** Operations that fail: `write`, or `write log.new` for files whose names end so. */
  readonly failing = new Set<string>();
  /** Most bytes that one write takes. */
  largestWrite = Infinity;
  writes = 0;
  renames = 0;
  opens = 0;
  truncates = 0;
  /** Files that were opened and not closed. */
  opened = 0;
  #failWrites = 0;
  #shortWrite = 0;
  #held: PromiseWithResolvers<void> | null = null;
  #released: Promise<void> | null = null;
  #heldName = "";

  /** Makes the next writes fail after a few bytes. */
  failWrites(count: number, short: number): void {
    [this.#failWrites, this.#shortWrite] = [count, short];
  }

  /** Makes writes to files whose names end with `name` wait until the function that it gives is called. */
  hold(name = ""): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = Promise.withResolvers();
    this.#released = promise;
    this.#heldName = name;
    return () => {
      this.#released = null;
      resolve();
    };
  }

  /** Resolves when a write is held. */
  get held(): Promise<void> {
    return this.#held!.promise;
  }

  /** What is in a file. */
  text(path: string): string {
    return this.#files.get(path)?.text ?? "";
  }

  /** What is in a file after a power cut. */
  afterPowerCut(path: string): string {
    return this.#syncedNames.get(path)?.synced ?? "";
  }

  /** The names of all files. */
  names(): string[] {
    return [...this.#files.keys()];
  }

  // deno-lint-ignore require-await
  async open(path: string, isNew: boolean): Promise<LogFile> {
    this.opens++;
    this.#check("open", path);
    const content = this.#files.get(path) ?? { text: "", synced: "" };
    if (isNew) content.text = "";
    this.#files.set(path, content);
    this.opened++;
    // Checks name the file that it was opened as.
    return {
      write: (bytes) => this.#write(path, content, bytes),
      // deno-lint-ignore require-await
      sync: async () => {
        this.#check("sync", path);
        content.synced = content.text;
      },
      // deno-lint-ignore require-await
      truncate: async (length) => {
        this.truncates++;
        this.#check("truncate", path);
        content.text = content.text.slice(0, length);
      },
      close: () => void this.opened--,
    };
  }

  size(path: string): Promise<number> {
    return Promise.resolve(this.text(path).length);
  }

  // deno-lint-ignore require-await
  async rename(from: string, to: string): Promise<void> {
    this.#check("rename", from);
    this.#files.set(to, this.#files.get(from)!);
    this.#files.delete(from);
    this.renames++;
  }

  remove(path: string): Promise<void> {
    this.#files.delete(path);
    return Promise.resolve();
  }

  // deno-lint-ignore require-await
  async syncDirectory(path: string): Promise<void> {
    this.#check("syncDirectory", path);
    this.#syncedNames = new Map(this.#files);
  }

  async #write(path: string, content: Content, bytes: Uint8Array): Promise<number> {
    if (this.#released !== null && path.endsWith(this.#heldName)) {
      this.#held!.resolve();
      await this.#released;
    }
    this.writes++;
    this.#check("write", path);
    const text = new TextDecoder("latin1").decode(bytes);
    if (this.#failWrites > 0) {
      this.#failWrites--;
      content.text += text.slice(0, this.#shortWrite);
      throw new Error("no space left");
    }
    content.text += text.slice(0, this.largestWrite);
    return Math.min(text.length, this.largestWrite);
  }

  #check(operation: string, path: string): void {
    const name = [...this.failing].find((one) => {
      const [failing, suffix = ""] = one.split(" ");
      return failing === operation && path.endsWith(suffix);
    });
    if (name !== undefined) throw new Error(`${name} fails`);
  }
}
