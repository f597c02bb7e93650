import { formatAddress, networkError, textBytes } from "../../protocol/mod.ts";
import type { Agent } from "../agent.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { ServiceLog } from "./log.ts";
import { Notifier } from "./notifier.ts";
import { Session, type SessionSocket } from "./session.ts";

/** How a service is started. Times are in milliseconds. */
export interface ServiceOptions {
  /** Must be in the mode `acknowledge: "manual"`; the service reads its events. */
  readonly agent: Agent;
  /** Address to listen on. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** What the first command of a session must be: `TOKEN <token>`; `null` for none. */
  readonly token?: string | null;
  /** Sessions at a time. @default 1000 */
  readonly mostSessions?: number;
  /** For the token of a session. @default 10000 */
  readonly tokenTimeout?: number;
  /** In which a client must read something of what is written. @default 30000 */
  readonly writeTimeout?: number;
  /** Between what a client is told while its stream has no room. @default 5000 */
  readonly roomNotice?: number;
  /** @default the system's */
  readonly clock?: Clock;
  /** Is told of servers that are lost and of clients; @default nobody */
  readonly log?: ServiceLog;
}

/** Bytes that are read at a time. */
const chunk = 16_384;

/** Serves an agent over the plaintext protocol on a TCP port (agent.md Plaintext agent protocol). */
export class AgentService implements AsyncDisposable {
  readonly #options: ServiceOptions;
  readonly #clock: Clock;
  #token: Uint8Array | null;
  readonly #listener: Deno.TcpListener;
  readonly #notifier: Notifier;
  /** Oldest first. */
  readonly #sessions = new Set<Session>();
  /** Of all sessions, also of those that are ending to make room. */
  readonly #running = new Set<Promise<void>>();
  readonly #work: Promise<unknown>;
  #isClosed = false;

  private constructor(options: ServiceOptions, listener: Deno.TcpListener) {
    const { agent, token = null, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#token = token === null ? null : textBytes(token);
    this.#listener = listener;
    this.#notifier = new Notifier(agent, clock, options.log);
    this.#work = Promise.all([this.#accept(), this.#notifier.run()]);
  }

  /** Starts a service. Throws `TransportError` (`NETWORK`) when the port cannot be had. */
  static start(options: ServiceOptions): AgentService {
    const { host, port } = options;
    let listener;
    try {
      listener = Deno.listen({ hostname: host, port });
    } catch (cause) {
      throw networkError(`listen on ${formatAddress({ host, port })}`, cause);
    }
    return new AgentService(options, listener);
  }

  /** The port it listens on. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Sessions that are there. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Changes what the first command of sessions must be that begin from now on. */
  setToken(token: string | null): void {
    this.#token = token === null ? null : textBytes(token);
  }

  /** Whether a connection belongs to a session, which is told what happens to it. */
  isOwned(alias: string): boolean {
    return this.#notifier.isOwned(alias);
  }

  /** Serves a client on any socket; resolves when the session has ended, at once when there are too many. */
  async serve(socket: SessionSocket): Promise<void> {
    if (!this.#makeRoom()) return socket.close();
    const { tokenTimeout = 10_000, writeTimeout = 30_000, roomNotice = 5_000 } = this.#options;
    const [notifier, token, clock] = [this.#notifier, this.#token, this.#clock];
    const session = new Session(socket, {
      notifier,
      token,
      clock,
      tokenTimeout,
      writeTimeout,
      roomNotice,
    });
    this.#sessions.add(session);
    this.#options.log?.debug(`a client has come, of ${this.#sessions.size} now`);
    const running = session.run().finally(() => {
      this.#sessions.delete(session);
      this.#options.log?.debug(`a client has gone, there are ${this.#sessions.size} now`);
      this.#running.delete(running);
    });
    this.#running.add(running);
    await running;
  }

  /** Ends all sessions and closes the agent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    await Promise.all([...this.#sessions].map((session) => session.close()));
    await this.#notifier[Symbol.asyncDispose]();
    await this.#options.agent.close();
    await Promise.all(this.#running);
    await this.#work;
  }

  async #accept(): Promise<void> {
    for (;;) {
      let connection;
      try {
        connection = await this.#listener.accept();
      } catch (error) {
        if (this.#isClosed) return;
        // Out of descriptors, for instance: that passes.
        if (error instanceof Deno.errors.BadResource) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      try {
        connection.setNoDelay();
      } catch {
        // The client has gone already, which its session finds out.
      }
      void this.serve(socketOf(connection));
    }
  }

  /** Ends the oldest session without a token when there are too many; `false` when all have given it. */
  #makeRoom(): boolean {
    if (this.#sessions.size < (this.#options.mostSessions ?? 1000)) return true;
    for (const session of this.#sessions) {
      if (session.isAdmitted) continue;
      session.abort();
      this.#sessions.delete(session);
      return true;
    }
    return false;
  }
}

function socketOf(connection: Deno.TcpConn): SessionSocket {
  return {
    readable: chunks(connection),
    write: (bytes) => connection.write(bytes),
    closeWrite: () => connection.closeWrite(),
    close: () => connection.close(),
  };
}

async function* chunks(connection: Deno.TcpConn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(chunk);
  for (let count; (count = await connection.read(buffer)) !== null;) yield buffer.slice(0, count);
}
