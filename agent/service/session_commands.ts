import { formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import { inBatches } from "../batches.ts";
import { AgentError, agentError } from "../protocol/error.ts";
import { subscriptionBatch } from "../servers.ts";
import { type Extension, helpText, type Mode, type ServiceCommand } from "./command.ts";
import type { RequestId } from "./json.ts";
import type { Notifier } from "./notifier.ts";
import type { SessionStreams } from "./session_streams.ts";
import { StreamRefusal } from "./stream_command.ts";
import type { Subscriber } from "./watch.ts";

/** Servers that a session can leave at a time. */
const mostLeaving = 16;

/** The session whose commands are executed. */
export interface CommandSession {
  /** Who has given them, and is told the answers. */
  readonly client: Subscriber;
  readonly streams: SessionStreams;
  isJson(): boolean;
  /** Sets a mode from the next command on. */
  set(mode: Mode): void;
}

/** What the commands of a client do (agent.md Plaintext agent protocol). */
export class SessionCommands {
  /** Those that the client has said it knows. */
  readonly extensions = new Set<Extension>();
  readonly #notifier: Notifier;
  readonly #session: CommandSession;
  readonly #client: Subscriber;
  /** Servers of which it is told how far they are left. */
  #leaving = 0;

  constructor(notifier: Notifier, session: CommandSession) {
    this.#notifier = notifier;
    this.#session = session;
    this.#client = session.client;
  }

  /** Does it, and says its answer. Throws `AgentError` or `StreamRefusal`. */
  async execute(id: RequestId, alias: string, command: ServiceCommand): Promise<void> {
    const notifier = this.#notifier;
    const { agent } = notifier;
    switch (command.type) {
      case "NEW": {
        const { connection, invitation } = await agent.create(alias || undefined);
        notifier.claim(this.#client, connection);
        return await this.#client.say(id, connection, { type: "INV", invitation });
      }
      case "JOIN": {
        // In text CON is the first that is said; in JSON every command is answered.
        const connection = await notifier.join(
          this.#client,
          this.#session.isJson() ? null : id,
          alias,
          command,
        );
        if (this.#session.isJson()) await this.#client.say(id, connection, { type: "OK" });
        return;
      }
      case "SUB":
        return await notifier.subscribe(this.#client, id, alias);
      case "SUBALL":
        return await this.#subscribeAll(id);
      case "SEND":
        return await notifier.send(this.#client, id, alias, command.body);
      case "ACK":
        await notifier.acknowledge(this.#client, alias, command.id);
        break;
      case "OFF":
        await agent.suspend(alias);
        break;
      case "DEL":
        await notifier.delete(this.#client, alias);
        break;
      case "CODE": {
        const code = agent.safetyCode(alias);
        if (code !== null) return await this.#client.say(id, alias, { type: "CODE", code });
        throw new AgentError("CMD PROHIBITED", `"${alias}" has no session, and so no safety code`);
      }
      case "VERIFY":
        await agent.verify(alias, command.compared);
        break;
      case "ROTATE":
        await agent.rotate(alias);
        break;
      case "ROUTES":
        await agent.setRoutes(alias, command.routes);
        break;
      case "LEAVE":
        return this.#leave(id, alias, command.server);
      case "EXT":
        return await this.#extend(id, alias, command.extensions);
      case "SNEW":
      case "SJOIN":
      case "SRESUME":
      case "SPUT":
      case "SCLOSE":
        if (this.extensions.has("streams")) return await this.#session.streams.execute(id, alias, command);
        throw new AgentError("CMD PROHIBITED", "Commands about streams come after EXT streams");
      case "LIST":
        return await this.#list(id);
      case "HELP":
        return await this.#client.say(id, alias, { type: "HELP", text: helpText });
      case "MODE": {
        const said = this.#client.say(id, alias, { type: "OK" });
        for (const mode of command.modes) this.#session.set(mode);
        return await said;
      }
      case "TOKEN":
      case "QUIT":
        break;
      default:
        return command satisfies never;
    }
    await this.#client.say(id, alias, { type: "OK" });
  }

  /** Says what is wrong with a command. */
  async fail(id: RequestId, alias: string, error: unknown): Promise<void> {
    const { code, message } = error instanceof StreamRefusal ? error : agentError(error);
    await this.#client.say(id, alias, { type: "ERR", error: code, message });
  }

  async #extend(id: RequestId, alias: string, extensions: readonly Extension[]): Promise<void> {
    const had = this.extensions.has("streams");
    for (const extension of extensions) this.extensions.add(extension);
    const said = this.#client.say(id, alias, { type: "OK" });
    if (!had) this.#notifier.tellOffers(this.#client);
    await said;
  }

  /** Goes on beside other commands: the other sides may be away for long. */
  #leave(id: RequestId, alias: string, server: ServerAddress): void {
    if (this.#leaving >= mostLeaving) {
      throw new AgentError("INTERNAL", "Too many servers are being left in this session");
    }
    this.#leaving++;
    void this.#tellLeaving(id, alias, server).catch((error) => this.fail(id, alias, error)).catch(() => {})
      .finally(() => this.#leaving--);
  }

  async #tellLeaving(id: RequestId, alias: string, server: ServerAddress): Promise<void> {
    const { agent } = this.#notifier;
    if (agent.servers.every((other) => formatAddress(other) === formatAddress(server))) {
      throw new AgentError("CMD PROHIBITED", "The agent has no other server");
    }
    for await (const { left, staying } of agent.leave(server)) {
      await this.#client.say(id, alias, { type: "LEAVING", left, staying });
      if (left === 0) await this.#client.say(id, alias, { type: "OK" });
    }
  }

  async #subscribeAll(id: RequestId): Promise<void> {
    const notifier = this.#notifier;
    const done = await inBatches(notifier.agent.connections(), subscriptionBatch, async ({ connection }) => {
      try {
        await notifier.subscribe(this.#client, id, connection);
        return 1;
      } catch (error) {
        // What it cannot receive from is none that it asked for.
        if (error instanceof AgentError && error.code === "CONN SIMPLEX") return 0;
        await this.fail(id, connection, error);
        return 0;
      }
    });
    if (!this.#session.isJson()) return;
    const count = done.reduce((sum: number, one) => sum + one, 0);
    await this.#client.say(id, "", { type: "DONE", count });
  }

  async #list(id: RequestId): Promise<void> {
    const notifier = this.#notifier;
    const all = notifier.agent.connections();
    await inBatches(all, subscriptionBatch, (info) => {
      const isOwn = notifier.owns(this.#client, info.id);
      return this.#client.say(id, info.connection, { type: "CONNECTION", info, isOwn });
    });
    await this.#client.say(id, "", { type: "DONE", count: all.length });
  }
}
