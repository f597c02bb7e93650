import { setTimeout as pause } from "node:timers/promises";
import { SmpClient } from "../../client/mod.ts";
import type { KeyPair, TransportError } from "../../protocol/mod.ts";
import type { Random } from "../agent/model/random.ts";
import type { History, Outcome, Subject } from "./history.ts";

/** How clients of a load connect: they notice that a server is gone within seconds. */
const options = {
  connectTimeout: 5_000,
  commandTimeout: 15_000,
  keepAliveInterval: 2_000,
  keepAliveCount: 3,
};
/** Milliseconds before the next attempt to connect, at first and at most. */
const [shortestPause, longestPause] = [20, 500];

/** What all clients of a load share. */
export interface World {
  readonly history: History;
  readonly addresses: () => readonly string[];
  /** Of all queues, on both sides. */
  readonly keyPair: KeyPair<"sign">;
  readonly random: Random;
  /** How many times as long as usual senders wait. */
  readonly pace: number;
  /** Aborts when no more is to be begun. */
  readonly stop: AbortSignal;
}

/** A connection. */
export interface Session {
  readonly client: SmpClient;
  readonly number: number;
  /** Whether it may still be there. */
  readonly isOpen: boolean;
  /** Closes it, so that the next one may be at another process. */
  leave(): Promise<void>;
  /** Runs a command, and closes the connection when its outcome is unknown. */
  perform<T>(
    subject: Omit<Subject, "connection">,
    run: (client: SmpClient) => Promise<T>,
  ): Promise<{ readonly outcome: Outcome; readonly value?: T }>;
}

/** A client that connects again whenever its connection is gone. */
export class Peer implements AsyncDisposable {
  readonly #world: World;
  readonly #closed = new AbortController();
  #session: Session | null = null;

  constructor(world: World) {
    this.#world = world;
  }

  /** The connection, a new one when there is none; `null`: the client was closed. */
  async session(): Promise<Session | null> {
    const { signal } = this.#closed;
    for (let wait = shortestPause; !signal.aborted; wait = Math.min(longestPause, 2 * wait)) {
      if (this.#session?.isOpen) return this.#session;
      const { history, addresses, random } = this.#world;
      try {
        const client = await SmpClient.connect(random.pick(addresses())!, { ...options, signal });
        return this.#session = sessionOf(client, history);
      } catch (error) {
        if (!signal.aborted) history.failed(error, "connecting");
      }
      await pause(wait * (1 + random.next()), undefined, { signal }).catch(() => {});
    }
    return null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#session?.client.close();
  }
}

function sessionOf(client: SmpClient, history: History): Session {
  const number = history.connected();
  let isOpen = true, isLeft = false;
  const gone = (error: TransportError) => {
    isOpen = false;
    history.failed(error, `connection ${number}`);
    history.note({ type: isLeft ? "LEFT" : "CLOSED", queue: "", connection: number });
  };
  void client.closed.then(gone);
  return {
    client,
    number,
    get isOpen() {
      return isOpen;
    },
    async leave() {
      isOpen = false;
      isLeft = true;
      await client.close();
    },
    async perform(subject, run) {
      const done = await history.perform({ ...subject, connection: number }, () => run(client));
      if (done.outcome === "unknown" || done.outcome === "not sent") {
        isOpen = false;
        await client.close();
      }
      return done;
    },
  };
}
