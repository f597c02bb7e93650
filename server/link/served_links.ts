import { encodeBase64 } from "../../protocol/mod.ts";
import type { StallWatch } from "../guard/stall_watch.ts";
import type { Turns } from "../guard/turns.ts";
import { AnsweredCommands } from "./answered.ts";
import type { ByteStream } from "./byte_stream.ts";
import { LinkError } from "./error.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { RemoteConnection } from "./remote_connection.ts";
import { ServedLink } from "./served_link.ts";

/** Processes whose answers are kept at a time. */
const mostProcesses = 1_024;

/** What links are served with. */
export interface ServedLinksOptions {
  /** Whose turn it is among all connections of this process. @default it is everyone's */
  readonly turns?: Pick<Turns, "next" | "hasTime">;
  /** Bytes that may wait to be written on a link. @default 1 MiB */
  readonly mostWaiting?: number;
  /** Whether the owner knows which repeated commands were executed, so that others may be refused. @default false */
  readonly knowsRepeated?: boolean;
  /** Tells that this process did not run for a time. @default nobody does */
  readonly stall?: Pick<StallWatch, "look" | "listen">;
  /** Milliseconds. @default `performance.now` */
  readonly now?: () => number;
}

/** What is at the moment. */
export interface ServedCounts {
  readonly links: number;
  readonly connections: number;
  /** Commands that are not answered yet. */
  readonly inWork: number;
  /** Commands and answers that are kept so that none is executed twice. */
  readonly kept: number;
  /** Bytes that wait to be written. */
  readonly waiting: number;
}

interface SessionProcess {
  readonly commands: AnsweredCommands<RemoteConnection>;
  link: ServedLink | null;
}

/** Lets sessions of other processes use the broker of this one. */
export class ServedLinks implements AsyncDisposable {
  readonly #owner: PartitionOwner;
  readonly #options: ServedLinksOptions;
  readonly #now: () => number;
  readonly #links = new Set<ServedLink>();
  readonly #processes = new Map<string, SessionProcess>();

  constructor(owner: PartitionOwner, options: ServedLinksOptions = {}) {
    this.#owner = owner;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    options.stall?.listen(() => this.#endStalled());
  }

  get counts(): ServedCounts {
    let connections = 0, inWork = 0, waiting = 0, kept = 0;
    for (const link of this.#links) {
      connections += link.connections;
      inWork += link.inWork;
      waiting += link.waiting;
    }
    for (const { commands } of this.#processes.values()) kept += commands.size;
    return { links: this.#links.size, connections, inWork, kept, waiting };
  }

  /** Serves a session's process; resolves to why its link has ended, when all its connections are gone. */
  async serve(stream: ByteStream): Promise<LinkError> {
    const { turns, mostWaiting, knowsRepeated = false, stall } = this.#options;
    await using link = new ServedLink(stream, {
      owner: this.#owner,
      greet: (link, incarnation) => this.#greet(link, encodeBase64(incarnation)),
      knowsRepeated,
      ...(turns && { turns }),
      ...(stall && { runs: () => stall.look() }),
      ...(mostWaiting === undefined ? {} : { mostWaiting }),
    });
    this.#links.add(link);
    const error = await link.ended;
    link.end(error);
    this.#links.delete(link);
    for (const known of this.#processes.values()) if (known.link === link) this.#lost(known);
    this.#sweep();
    return error;
  }

  /** Ends all links. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#links].map((link) => link[Symbol.asyncDispose]()));
  }

  /** A SUB that waits may be of a connection that is gone: its process gives again what is still wanted. */
  #endStalled(): void {
    const error = new LinkError("CLOSED", "Cannot use the link: this process did not run for a time");
    for (const link of this.#links) link.end(error);
  }

  #greet(link: ServedLink, incarnation: string): AnsweredCommands<RemoteConnection> {
    const known = this.#processes.get(incarnation) ?? { commands: new AnsweredCommands(), link: null };
    if (known.link !== null) {
      // Its end is not noticed yet; what it had is restored by the new one.
      known.link.end(new LinkError("CLOSED", "Cannot use the link: its process has made another one"));
      this.#lost(known);
    }
    this.#processes.delete(incarnation);
    this.#processes.set(incarnation, known);
    known.link = link;
    this.#sweep();
    return known.commands;
  }

  #lost(known: SessionProcess): void {
    known.commands.lost(this.#now());
    known.link = null;
  }

  #sweep(): void {
    for (const [incarnation, { commands, link }] of this.#processes) {
      commands.sweep(this.#now());
      const isForgotten = commands.size === 0 || this.#processes.size > mostProcesses;
      if (link === null && isForgotten) this.#processes.delete(incarnation);
    }
  }
}
