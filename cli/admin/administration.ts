import { timingSafeEqual } from "node:crypto";
import { objectOf, textOf } from "../json.ts";
import type { LogLevel } from "../logger.ts";
import { readLine, writeLine } from "./lines.ts";
import { type AdminListener, listenAdmin } from "./listen.ts";
import { type AdminReply, type AdminRequest, longestRequest, readRequest } from "./messages.ts";
import type { AdminPlace } from "./place.ts";

/** Connections at a time; further ones are closed. */
const mostConnections = 8;
/** Requests a second; further ones are refused. */
const mostRequests = 50;
/** Milliseconds in which a request must have come, and in which its answer must be taken. */
const requestTime = 5_000, answerTime = 30_000;

/** What a server or an agent does when it is asked. */
export interface AdminDuties<Status> {
  status(): Promise<Status>;
  /** What was done, in lines; throws `Error` when nothing was. */
  reload(): Promise<readonly string[]>;
  setLogLevel(level: LogLevel): void;
}

export interface AdministrationOptions {
  /** Begins its end. */
  readonly stop: () => void;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
  readonly requestTime?: number;
}

/** Lets the operator of a running server or agent ask it for things: one request and its answer a connection. */
export class Administration<Status> implements AsyncDisposable {
  readonly #listener: AdminListener;
  readonly #options: AdministrationOptions;
  /** Each with what cuts it off. */
  readonly #connections = new Map<Deno.Conn, () => void>();
  readonly #works = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #duties: AdminDuties<Status> | null = null;
  #isClosed = false;
  #second = -Infinity;
  #requests = 0;

  private constructor(listener: AdminListener, options: AdministrationOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#accepting = this.#accept();
  }

  /** Throws `PlaceTaken`, `Error`, or what the system says. */
  static async listen<Status>(
    place: AdminPlace,
    options: AdministrationOptions,
  ): Promise<Administration<Status>> {
    return new Administration(await listenAdmin(place), options);
  }

  /** From now on it has started. */
  serve(duties: AdminDuties<Status>): void {
    this.#duties = duties;
  }

  /** Whoever has asked for its end learns of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#listener[Symbol.asyncDispose]();
    for (const cut of this.#connections.values()) cut();
    await Promise.all([this.#accepting, ...this.#works]);
  }

  async #accept(): Promise<void> {
    while (!this.#isClosed) {
      let connection;
      try {
        connection = await this.#listener.listener.accept();
      } catch {
        // Descriptors have run out, or the peer is gone again.
        await new Promise((resolve) => setTimeout(resolve, this.#isClosed ? 0 : 100));
        continue;
      }
      if (this.#isClosed || this.#connections.size >= mostConnections) {
        close(connection);
        continue;
      }
      const work = this.#answer(connection).finally(() => this.#works.delete(work));
      this.#works.add(work);
    }
  }

  async #answer(connection: Deno.Conn): Promise<void> {
    const { promise: wasCut, reject } = Promise.withResolvers<never>();
    wasCut.catch(() => {});
    const cut = () => {
      close(connection);
      reject(new Error("it was cut off"));
    };
    this.#connections.set(connection, cut);
    let timer = setTimeout(cut, this.#options.requestTime ?? requestTime);
    try {
      const line = await readLine(connection, longestRequest);
      clearTimeout(timer);
      if (line === null) return;
      timer = setTimeout(cut, answerTime);
      // What it does perhaps never ends.
      const { reply, isEnd } = await Promise.race([this.#reply(line), wasCut]);
      await writeLine(connection, reply);
      if (!isEnd) return;
      clearTimeout(timer);
      this.#options.stop();
      // Until it has stopped, or the peer does not wait for that.
      while (await connection.read(new Uint8Array(64)) !== null);
    } catch {
      // The peer has broken the connection, or did not take the answer in time.
    } finally {
      clearTimeout(timer);
      this.#connections.delete(connection);
      close(connection);
    }
  }

  async #reply(line: string): Promise<{ readonly reply: AdminReply<Status>; readonly isEnd?: boolean }> {
    const refused = (error: string) => ({ reply: { ok: false, error } as const });
    if (this.#isTooOften()) return refused("too many requests in this second");
    let request: AdminRequest;
    try {
      if (!this.#isAllowed(line)) return refused("the token is wrong");
      request = readRequest(line);
    } catch (error) {
      return refused(`it cannot read the request: ${messageOf(error)}`);
    }
    if (request.type === "stop") return { reply: { ok: true, lines: ["stopping"] }, isEnd: true };
    if (this.#duties === null) return refused("it is starting");
    try {
      return { reply: await this.#done(request, this.#duties) };
    } catch (error) {
      return refused(messageOf(error));
    }
  }

  async #done(
    request: Exclude<AdminRequest, { readonly type: "stop" }>,
    duties: AdminDuties<Status>,
  ): Promise<AdminReply<Status>> {
    switch (request.type) {
      case "status":
        return { ok: true, status: await duties.status() };
      case "reload":
        return { ok: true, lines: await duties.reload() };
      case "log-level":
        duties.setLogLevel(request.level);
        return { ok: true, lines: [`log level: ${request.level}, until the next reload or start`] };
      default:
        return request satisfies never;
    }
  }

  #isAllowed(line: string): boolean {
    const { token } = this.#listener;
    if (token === null) return true;
    const bytes = (text: string) => new TextEncoder().encode(text);
    const given = bytes(textOf(objectOf(JSON.parse(line), "a request")["token"], "token"));
    return given.length === bytes(token).length && timingSafeEqual(given, bytes(token));
  }

  #isTooOften(): boolean {
    const now = this.#options.now?.() ?? performance.now();
    if (now - this.#second >= 1000) [this.#second, this.#requests] = [now, 0];
    return ++this.#requests > mostRequests;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
