import { joinParts } from "../../protocol/mod.ts";
import { type LogFile, type LogIo, systemIo } from "../../server/store/log_io.ts";

/** A file by whatever name: what was written, and what of it was synced. */
interface Node {
  live: Uint8Array<ArrayBuffer>;
  synced: Uint8Array<ArrayBuffer>;
}

type Names = Map<string, Node>;

/**
 * The system's files in one folder, used through it alone, that know what a power cut would leave: synced bytes, names
 * as of the last sync of the folder, and, if the disk was quicker, any of what came after. Nothing waits for the disk.
 */
export class PowerCutDisk implements LogIo {
  readonly #after: (disk: PowerCutDisk) => Promise<void>;
  readonly #largestWrite: number;
  /** Names as they are. */
  readonly #live: Names = new Map();
  /** Names as they were when the folder was synced. */
  readonly #durable: Names = new Map();
  /** Changes of names since. */
  #pending: ((names: Names) => void)[] = [];

  private constructor(after: (disk: PowerCutDisk) => Promise<void>, largestWrite: number) {
    this.#after = after;
    this.#largestWrite = largestWrite;
  }

  /** Takes what is in the folder for synced; `after` is called after every operation, which waits for it. */
  static async open(
    folder: string,
    after: (disk: PowerCutDisk) => Promise<void>,
    largestWrite = Infinity,
  ): Promise<PowerCutDisk> {
    const disk = new PowerCutDisk(after, largestWrite);
    for await (const { name } of Deno.readDir(folder)) {
      const bytes = await Deno.readFile(`${folder}/${name}`);
      const node = { live: bytes, synced: bytes };
      disk.#live.set(`${folder}/${name}`, node);
      disk.#durable.set(`${folder}/${name}`, node);
    }
    return disk;
  }

  /**
   * Writes what a power cut at this moment would leave to another folder: of the changes of names that were not synced
   * those that `keeps` says, and of such bytes a share.
   */
  async cut(to: string, keeps: (change: number) => boolean, share: number): Promise<void> {
    await Deno.mkdir(to);
    const names = new Map(this.#durable);
    for (const [i, change] of this.#pending.entries()) if (keeps(i)) change(names);
    for (const [path, { live, synced }] of names) {
      const kept = Math.round((live.length - synced.length) * share);
      const bytes = live.length < synced.length ? synced : live.subarray(0, synced.length + kept);
      await Deno.writeFile(`${to}/${path.slice(path.lastIndexOf("/") + 1)}`, bytes, { mode: 0o600 });
    }
  }

  async open(path: string, isNew: boolean): Promise<LogFile> {
    const file = await systemIo.open(path, isNew);
    let node = this.#live.get(path);
    if (node === undefined) {
      const made: Node = node = { live: new Uint8Array(), synced: new Uint8Array() };
      this.#change((names) => void names.set(path, made));
    } else if (isNew) node.live = node.synced = new Uint8Array();
    const opened = node;
    await this.#after(this);
    return {
      write: async (bytes) => {
        const part = bytes.slice(0, this.#largestWrite);
        for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
        opened.live = joinParts([opened.live, part]);
        await this.#after(this);
        return part.length;
      },
      sync: async () => {
        opened.synced = opened.live;
        await this.#after(this);
      },
      truncate: async (length) => {
        await file.truncate(length);
        opened.live = opened.live.subarray(0, length);
        await this.#after(this);
      },
      close: () => file.close(),
    };
  }

  size(path: string): Promise<number> {
    return systemIo.size(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await systemIo.rename(from, to);
    const node = this.#live.get(from)!;
    this.#change((names) => {
      names.delete(from);
      names.set(to, node);
    });
    await this.#after(this);
  }

  async remove(path: string): Promise<void> {
    await systemIo.remove(path);
    this.#change((names) => void names.delete(path));
    await this.#after(this);
  }

  async syncDirectory(_path: string): Promise<void> {
    for (const change of this.#pending.splice(0)) change(this.#durable);
    await this.#after(this);
  }

  #change(change: (names: Names) => void): void {
    change(this.#live);
    this.#pending.push(change);
  }
}
