import { join } from "node:path";
import { type Agent, type OutgoingStream, StreamError, type StreamOffer } from "@simplexmq/smp/agent";
import { endText, fileNameOf, numberedName, sizeText } from "../files.ts";
import type { Show } from "./chat.ts";
import { harmless } from "./screen.ts";

/** Names that are tried for a file whose name another one has. */
const mostNames = 100;

/** Where files go to, and what is shown of them. */
export interface FilesOptions {
  /** Folder for files that are received. */
  readonly folder: string;
  readonly show: Show;
  /** Shows how far they are; nothing when it is empty. */
  status(text: string): void;
}

interface Transfer {
  readonly number: number;
  readonly stream: OutgoingStream | StreamOffer;
  /** As it is shown and saved, whatever its sender calls it. */
  readonly name: string;
  /** Whether this program receives it, or sends it to somebody who does. */
  isGoing: boolean;
}

/** Files that are offered or on their way, by the numbers under which they are shown. */
export class Files {
  readonly #agent: Agent;
  readonly #options: FilesOptions;
  readonly #transfers = new Map<number, Transfer>();
  readonly #work = new Set<Promise<void>>();
  /** Paths that files will have, in small letters: they are not there until all has come. */
  readonly #taken = new Set<string>();
  #last = 0;

  /** Shows what was on its way before a restart. */
  constructor(agent: Agent, options: FilesOptions) {
    this.#agent = agent;
    this.#options = options;
    for (const stream of agent.streams()) {
      if (stream.direction === "sending") this.#add(stream);
      else if (stream.status === "accepted") {
        const { number, name } = this.#add(stream);
        this.#show(
          `[#${number}] ${name} from ${stream.connection} did not come whole: /accept #${number} goes on`,
        );
      }
    }
  }

  /** Somebody offers a file. */
  offered(stream: StreamOffer): void {
    const { number, name } = this.#add(stream);
    const { connection, size } = stream;
    const commands = `/accept #${number} or /refuse #${number}`;
    this.#show(`[#${number}] ${connection} offers a file: ${name}, ${sizeText(size)}; ${commands}`);
  }

  /** Offers a file; what goes wrong is shown. */
  send(connection: string, path: string): void {
    this.#do(async () => {
      this.#show(`reading ${harmless(path)} …`);
      const onProgress = () => this.#showStatus();
      const stream = await this.#agent.sendFile(connection, path, { onProgress }).catch((cause) => {
        throw unreadable(path, cause);
      });
      const { number, name } = this.#add(stream);
      this.#show(`[#${number}] offered to ${connection}: ${name}, ${sizeText(stream.size)}`);
    });
  }

  /** Receives a file, to a path in the folder or under its own name, never in place of another one. */
  accept(number: number | null, path: string | null): void {
    const transfer = this.#find(number, (one) => one.stream.direction === "receiving" && !one.isGoing);
    if (transfer === null || transfer.stream.direction !== "receiving") return;
    const { stream, name } = transfer;
    transfer.isGoing = true;
    this.#do(async () => {
      let target: string | null = null;
      try {
        await Deno.mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
        target = path === null ? await this.#freePath(name) : this.#take(join(this.#options.folder, path));
        if (target === null) throw new Error(`${path} is where another file is being saved`);
        const onProgress = () => this.#showStatus();
        await this.#agent.receiveFile(stream, target, { onProgress });
        this.#show(`[#${transfer.number}] ${name} from ${stream.connection} is in ${harmless(target)}`);
      } finally {
        if (target !== null) this.#taken.delete(target.toLowerCase());
        transfer.isGoing = false;
      }
    }, transfer);
  }

  /** Refuses a file. */
  async refuse(number: number | null): Promise<void> {
    const isOffer = ({ stream }: Transfer) => stream.direction === "receiving" && stream.status === "offered";
    const stream = this.#find(number, isOffer)?.stream;
    if (stream?.direction === "receiving") await stream.refuse();
  }

  /** Ends a file that is on its way, or takes an offer back. */
  async cancel(number: number | null): Promise<void> {
    const isOwn = ({ stream }: Transfer) => stream.direction === "sending" || stream.status === "accepted";
    await this.#find(number, isOwn)?.stream.cancel();
  }

  /** Shows all of them. */
  list(): void {
    if (this.#transfers.size === 0) this.#show("no file is offered or on its way");
    for (const transfer of this.#transfers.values()) this.#options.show(lineOf(transfer));
  }

  /** Resolves when nothing is done any more, after the agent was closed. */
  async stopped(): Promise<void> {
    await Promise.all(this.#work);
  }

  #add(stream: OutgoingStream | StreamOffer): Transfer {
    const number = ++this.#last;
    const transfer: Transfer = { number, stream, name: fileNameOf(stream.name), isGoing: false };
    this.#transfers.set(number, transfer);
    const { name } = transfer, { connection, direction } = stream;
    const end = (text: string | null) => {
      this.#transfers.delete(number);
      this.#showStatus();
      if (text !== null) this.#options.show(`[#${number}] ${text}`, "notice");
    };
    stream.ended.then(
      () => end(direction === "sending" ? `✓✓ ${connection} has ${name}` : null),
      (error) => end(isClosed(error) ? null : `${name}: ${describe(error, direction)}`),
    );
    return transfer;
  }

  /** The transfer with a number, or the only one that it can be; says why there is none. */
  #find(number: number | null, isRight: (transfer: Transfer) => boolean): Transfer | null {
    const found = [...this.#transfers.values()].filter((one) =>
      isRight(one) && (number === null || one.number === number)
    );
    if (found.length === 1) return found[0]!;
    const problem = found.length > 1
      ? `say which one: ${found.map((one) => `#${one.number}`).join(", ")}; /files lists them`
      : number === null
      ? "there is no such file"
      : `there is no such file #${number}; /files lists them`;
    this.#options.show(problem, "warning");
    return null;
  }

  /** The path, which no other file gets meanwhile; `null`: another one will have it. */
  #take(path: string): string | null {
    if (this.#taken.has(path.toLowerCase())) return null;
    this.#taken.add(path.toLowerCase());
    return path;
  }

  /** A path that no file has, under a name or one with a number behind it; no other file gets it meanwhile. */
  async #freePath(name: string): Promise<string> {
    for (let count = 1; count <= mostNames; count++) {
      const path = join(this.#options.folder, numberedName(name, count));
      const isThere = await Deno.lstat(path).then(() => true, (error) => {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      });
      if (!isThere && this.#take(path) !== null) return path;
    }
    throw new Error(`there are too many files called ${name}: say where it is to be saved`);
  }

  /** Does what takes long; what goes wrong is shown, unless the end of `transfer` shows it. */
  #do(work: () => Promise<void>, transfer?: Transfer): void {
    const done = work().catch((error) => {
      const isTold = transfer !== undefined && !this.#transfers.has(transfer.number);
      if (isClosed(error) || isTold) return;
      this.#options.show(describe(error, transfer?.stream.direction ?? "sending"), "warning");
    }).finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  #showStatus(): void {
    const going = [...this.#transfers.values()].filter(({ stream: { status } }) => status === "accepted");
    this.#options.status(going.map(lineOf).join(" · "));
  }

  #show(text: string): void {
    this.#options.show(text, "notice");
  }
}

function lineOf({ number, stream, name }: Transfer): string {
  const { direction, connection, status, size, progress: { bytes } } = stream;
  const way = direction === "sending" ? "to" : "from";
  const what = `${name} ${way} ${connection}`;
  if (status === "offered") return `[#${number}] offered: ${what}, ${sizeText(size)}`;
  if (size === null) return `[#${number}] ${sizeText(bytes)}: ${what}`;
  const percent = size === 0 ? 100 : Math.floor(100 * bytes / size);
  return `[#${number}] ${percent} % of ${sizeText(size)}: ${what}`;
}

/** Whether the agent was closed: it goes on after the next start. */
function isClosed(error: unknown): boolean {
  return error instanceof StreamError && error.code === "CLOSED";
}

/** An error of a file that was to be sent, in words for whoever has typed its path. */
function unreadable(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  const { code } = cause as { readonly code?: unknown };
  if (code === "ENOENT") return new Error(`there is no ${path}`, { cause });
  if (/^Requires read access/.test(cause.message)) {
    return new Error(`${path} is not in a folder that this program may read (--allow-read)`, { cause });
  }
  return cause instanceof TypeError ? new Error(`${path} is not a file`, { cause }) : cause;
}

function describe(error: unknown, direction: "sending" | "receiving"): string {
  if (!(error instanceof StreamError)) {
    return harmless(error instanceof Error ? error.message : String(error));
  }
  // What cannot be written is said by its cause.
  if (error.code === "FAILED" && error.told === null) {
    const { cause } = error;
    return harmless(cause instanceof Error ? `${error.message}: ${cause.message}` : error.message);
  }
  return endText(error, direction);
}
