import { networkError } from "../../protocol/mod.ts";
import type { Agent } from "../agent.ts";
import type { AgentEvent } from "../events.ts";
import type { ServiceResponse } from "./command.ts";
import { Session, type SessionOwner, type SessionSocket } from "./session.ts";

/** How a service is started. */
export interface ServiceOptions {
  /** Must be in the mode `acknowledge: "manual"`; the service reads its events. */
  readonly agent: Agent;
  /** Address to listen on. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** What the first command of a session must be: `TOKEN <token>`; `null` for none. */
  readonly token?: string | null;
}

/** Sessions at a time. */
const mostSessions = 1000;

/** Serves an agent over the plaintext protocol on a TCP port (agent.md Plaintext agent protocol). */
export class AgentService implements SessionOwner, AsyncDisposable {
  readonly agent: Agent;
  readonly token: string | null;
  readonly #listener: Deno.TcpListener;
  readonly #sessions = new Map<Session, Promise<void>>();
  readonly #owners = new Map<string, Session>();
  readonly #work: Promise<unknown>;
  #isClosed = false;

  private constructor({ agent, token = null }: ServiceOptions, listener: Deno.TcpListener) {
    this.agent = agent;
    this.token = token;
    this.#listener = listener;
    this.#work = Promise.all([this.#accept(), this.#tell()]);
  }

  /** Starts a service. Throws `TransportError` (`NETWORK`) when the port cannot be had. */
  static start(options: ServiceOptions): AgentService {
    const { host, port } = options;
    let listener;
    try {
      listener = Deno.listen({ hostname: host, port });
    } catch (cause) {
      throw networkError(`listen on ${host}:${port}`, cause);
    }
    return new AgentService(options, listener);
  }

  /** The port it listens on. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** See {@linkcode SessionOwner}. */
  claim(alias: string, session: Session): void {
    const before = this.#owners.get(alias);
    this.#owners.set(alias, session);
    if (before === undefined || before === session) return;
    before.forget(alias);
    before.say("", alias, { type: "END" }).catch(() => {});
  }

  /** See {@linkcode SessionOwner}. */
  owner(alias: string): Session | undefined {
    return this.#owners.get(alias);
  }

  /** See {@linkcode SessionOwner}. */
  release(alias: string): void {
    this.#owners.delete(alias);
  }

  /** Ends all sessions and closes the agent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    await this.agent.close();
    await Promise.all([...this.#sessions.keys()].map((session) => session.close()));
    await Promise.all(this.#sessions.values());
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
      if (this.#sessions.size >= mostSessions) connection.close();
      else this.#serve(connection);
    }
  }

  #serve(connection: Deno.TcpConn): void {
    connection.setNoDelay();
    const session = new Session(socketOf(connection), this);
    const work = session.run().finally(() => {
      this.#sessions.delete(session);
      for (const [alias, owner] of this.#owners) if (owner === session) this.#owners.delete(alias);
    });
    this.#sessions.set(session, work);
  }

  /** Tells sessions what happens. */
  async #tell(): Promise<void> {
    for await (const event of this.agent.events()) {
      if (event.type === "down") {
        for (const alias of event.connections) this.#notify(alias, { type: "END" });
      } else if (event.type === "message") {
        this.#give(event);
      } else if (event.type !== "up" && event.type !== "security") {
        this.#notify(event.connection, responseTo(event), "id" in event ? event.id : undefined);
      }
    }
  }

  #notify(alias: string, response: ServiceResponse, id?: number): void {
    this.#owners.get(alias)?.notify(alias, response, id).catch(() => {});
  }

  /** A message is done with when a session has it; it comes again when another one subscribes. */
  #give({ connection: alias, message }: Extract<AgentEvent, { readonly type: "message" }>): void {
    this.#owners.get(alias)?.notify(alias, { type: "MSG", message }, undefined)
      .then(() => this.agent.acknowledge(alias, message.id))
      .catch(() => {});
  }
}

function responseTo(
  event: Extract<AgentEvent, { readonly type: "connected" | "sent" | "end" | "error" }>,
): ServiceResponse {
  switch (event.type) {
    case "connected":
      return { type: "CON" };
    case "sent":
      return { type: "SENT", id: event.id };
    case "end":
      return { type: "END" };
    case "error":
      return { type: "ERR", error: event.error.code, message: event.error.message };
    default:
      return event satisfies never;
  }
}

function socketOf(connection: Deno.TcpConn): SessionSocket {
  return {
    readable: connection.readable,
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    },
    close() {
      try {
        connection.close();
      } catch {
        // The readable has closed it.
      }
    },
  };
}
