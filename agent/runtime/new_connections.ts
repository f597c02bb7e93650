import { parseQueueInfo, type QueueInfo } from "../../protocol/mod.ts";
import { newConnection, withReceiving } from "../core/connection.ts";
import { greet } from "../kinds/greet.ts";
import { invitationOf } from "../kinds/reply.ts";
import type { Invitation } from "../options.ts";
import { newSession, sessionExtension } from "../session/session.ts";
import type { Connection } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Discards } from "./discards.ts";
import type { Interpreter } from "./interpreter.ts";
import { makeReceivingRoute, makeSendingRoute, subscribedQueue } from "./routes.ts";

/** Makes connections. */
export class NewConnections {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #discards: Discards;

  /** Does nothing yet. */
  constructor(
    context: AgentContext,
    { interpreter, discards }: { readonly interpreter: Interpreter; readonly discards: Discards },
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#discards = discards;
  }

  /** See `Agent.create`. */
  async create(alias: string): Promise<Invitation> {
    const { connections, servers, now } = this.#context;
    return await connections.reserving(alias, async () => {
      const { route, client } = await makeReceivingRoute(this.#context);
      const empty = this.#new({ alias, createdAt: now(), role: "initiator", reply: true });
      try {
        await this.#interpreter.add(withReceiving(empty, route), [], []);
      } catch (error) {
        await this.#discards.abandon(route);
        throw error;
      }
      servers.created(subscribedQueue(this.#context, route), client);
      return { connection: alias, invitation: invitationOf(route.keys) };
    });
  }

  /** See `Agent.join`. */
  async join(
    invitation: QueueInfo | string,
    { alias, reply }: { readonly alias: string; readonly reply: boolean },
  ): Promise<string> {
    const { connections, deadlines, joinTimeout, announced } = this.#context;
    const queueInfo = typeof invitation === "string" ? parseQueueInfo(invitation) : invitation;
    return await connections.reserving(alias, async () => {
      const sending = await makeSendingRoute(this.#context, queueInfo);
      const now = this.#context.now();
      const empty = this.#new({ alias, createdAt: now, role: "joiner", reply });
      const context = { now, announced, giveUpAt: deadlines.after(joinTimeout), withReply: reply };
      const { connection, changes, commands } = greet(empty, sending, context);
      await this.#interpreter.add(connection, changes, commands);
      return alias;
    });
  }

  #new(made: Parameters<typeof newConnection>[0]): Connection {
    const isAnnounced = made.reply && this.#context.announced.includes(sessionExtension);
    return { ...newConnection(made), session: isAnnounced ? newSession({}) : null };
  }
}
