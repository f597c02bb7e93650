import { preferOpenSsl } from "../../protocol/mod.ts";
import { StreamError } from "../stream/error.ts";
import type { OutgoingStream, StreamOffer, StreamProgress } from "../stream/types.ts";
import type { Surroundings } from "./command.ts";
import { oneLine } from "./print.ts";
import { ProgressLine } from "./progress.ts";
import { isUnmade, Session, type SessionOptions } from "./session.ts";

/** Milliseconds between two looks at how far a stream is, and between two lines of JSON that say so. */
const barInterval = 100, jsonInterval = 1_000;

/** Milliseconds for the other side to be told of the end of a stream; else what runs next tells it. */
const farewell = 10_000, cancelFarewell = 3_000;

/** What a command that sends or receives streams was given. */
export interface TransferOptions extends SessionOptions {
  /** Whether progress is printed as JSON. */
  readonly json: boolean;
}

type Stream = OutgoingStream | StreamOffer;

/** Why the other side takes back what it has offered. */
const backCodes: ReadonlySet<StreamError["code"]> = new Set(["CANCELLED", "CHANGED", "EXPIRED", "LOST"]);

/** An agent in the service of a command that sends or receives streams of one connection. */
export class Transfer {
  readonly session: Session;
  readonly #name: string;
  readonly #surroundings: Surroundings;
  readonly #isJson: boolean;
  readonly #line: ProgressLine | null;
  /** Offers that were given to the command. */
  readonly #given = new Set<string>();
  /** The stream that the user can cancel. */
  #current: Stream | null = null;
  #wake = () => {};
  readonly #failed: Promise<never>;

  private constructor(
    session: Session,
    { name, surroundings, isJson, line }: {
      readonly name: string;
      readonly surroundings: Surroundings;
      readonly isJson: boolean;
      readonly line: ProgressLine | null;
    },
  ) {
    this.session = session;
    this.#name = name;
    this.#surroundings = surroundings;
    this.#isJson = isJson;
    this.#line = line;
    this.#failed = session.read<never>((event) => {
      if (event.type === "stream offered") this.#wake();
      return Promise.resolve(null);
    });
    this.#failed.catch(() => {});
  }

  /**
   * Has `use` send or receive, when the connection has a session. Ctrl-C cancels what it is about, and tells the other
   * side. Throws what {@linkcode Session.use} throws.
   */
  static async use(
    options: TransferOptions,
    surroundings: Surroundings,
    { name, left, use }: {
      readonly name: string;
      /** What is left when the time is over. */
      readonly left: () => string;
      readonly use: (transfer: Transfer) => Promise<void>;
    },
  ): Promise<void> {
    preferOpenSsl();
    const { terminal } = surroundings;
    const line = terminal === null || options.json ? null : new ProgressLine(terminal);
    const tell = (text: string) => {
      line?.clear();
      surroundings.tell(text);
    };
    const around = { ...surroundings, tell };
    let transfer: Transfer | undefined;
    try {
      await Session.use(options, around, {
        needs: { mayMake: false, needsServer: (connections) => connections.some(isUnmade) },
        left: () => {
          if (!surroundings.signal.aborted) return left();
          return transfer !== undefined && transfer.#current !== null
            ? "it was cancelled"
            : "nothing was cancelled";
        },
        cancel: async (session) => {
          if (transfer === undefined || transfer.#current === null) return;
          await transfer.#current.cancel("Cancelled by the user");
          await session.untilTold(name, cancelFarewell);
        },
        async use(session) {
          session.connection(name);
          await session.untilSession(name, tell);
          transfer = new Transfer(session, { name, surroundings: around, isJson: options.json, line });
          await use(transfer);
        },
      });
    } catch (error) {
      throw error instanceof StreamError ? new Error(explained(error), { cause: error }) : error;
    } finally {
      line?.clear();
    }
  }

  /** The next offer of the other side that `isWanted`; each is given once. */
  async offer(isWanted: (offer: StreamOffer) => boolean): Promise<StreamOffer> {
    for (;;) {
      // Before the look: an offer may come in between.
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      for (const stream of this.session.agent.streams(this.#name)) {
        if (stream.direction === "sending" || this.#given.has(stream.id) || !isWanted(stream)) continue;
        this.#given.add(stream.id);
        return stream;
      }
      await Promise.race([woken, this.#failed]);
    }
  }

  /** Does what takes a stream to its end, shows how far it is meanwhile, and tells the other side of its end. */
  async follow<T>(stream: Stream, { shown, work }: {
    readonly shown: string;
    readonly work: Promise<T>;
  }): Promise<T> {
    this.#current = stream;
    const isBar = this.#line !== null;
    this.#line?.reset();
    const timer = isBar || this.#isJson
      ? setInterval(() => void this.#show(stream, shown), isBar ? barInterval : jsonInterval)
      : undefined;
    try {
      return await Promise.race([work, this.#failed]);
    } finally {
      clearInterval(timer);
      this.#line?.reset();
      if (!this.#surroundings.signal.aborted) {
        this.#current = null;
        await Promise.race([this.session.untilTold(this.#name, farewell), this.#failed]).catch(() => {});
      }
    }
  }

  /** Shows how much of a file was read before it is offered. */
  readonly showReading = ({ bytes, size }: StreamProgress): void => {
    this.#line?.update("reading", { bytes, size });
  };

  /** Prints an object with `--json`, else tells a line. */
  async say(line: string, value: Readonly<Record<string, unknown>>): Promise<void> {
    if (this.#isJson) await this.#surroundings.print(oneLine(value));
    else this.tell(line);
  }

  /** Tells a line. */
  tell(line: string): void {
    this.#surroundings.tell(line);
  }

  async #show(stream: Stream, shown: string): Promise<void> {
    const { bytes, size } = stream.progress;
    if (stream.status === "offered") return;
    this.#line?.update(shown, { bytes, size });
    if (!this.#isJson) return;
    const line = oneLine({ type: "progress", connection: this.#name, id: stream.id, bytes, size });
    await this.#surroundings.print(line).catch(() => {});
  }
}

/** Whether the other side has taken an offer back before anything of it came: what it offers next is another one. */
export function isTakenBack(offer: StreamOffer, error: unknown): error is StreamError {
  if (!(error instanceof StreamError) || error.told === null || offer.progress.bytes > 0) return false;
  return backCodes.has(error.code);
}

/** Why a stream has ended, for people. */
export function explained({ code, message, told, cause }: StreamError): string {
  const words = (told === null ? own : others)[code] ?? message;
  const more = told === null || told === "" ? "" : `: "${told}"`;
  return `${words}${more}${cause instanceof Error ? `: ${causeOf(cause)}` : ""}`;
}

type Reasons = Readonly<Partial<Record<StreamError["code"], string>>>;

const both: Reasons = {
  EXPIRED: "nobody has accepted it in time",
  CHANGED: "the file has changed since it was offered",
  HASH: "what came is not what was offered: it has another SHA-256",
  NO_ROOM:
    "there is no room for it; what has come stays, and it goes on from there when the command is given again",
};

const own: Reasons = { ...both, CANCELLED: "it was cancelled" };

const others: Reasons = {
  ...both,
  REFUSED: "the other side does not want it",
  TOO_MANY: "the other side has too many offers that it has not accepted",
  CANCELLED: "the other side has cancelled it",
  LOST: "it cannot be sent any more: its sender was ended, or the file is gone",
  SIZE: "it is longer or shorter than was said",
  FAILED: "the other side could not go on",
};

function causeOf(error: Error): string {
  return error.cause instanceof Error ? causeOf(error.cause) : error.message;
}
