import type { QueueInfo } from "../protocol/mod.ts";
import type { Agent } from "./agent.ts";

/** A command of an agent's client as a value; {@linkcode Agent.execute} does it. */
export type AgentCommand =
  /** Makes a connection; without a name it is given one. */
  | { readonly type: "NEW"; readonly connection?: string }
  /** Joins a connection; without `reply` it is one of one direction. @default reply: true */
  | {
    readonly type: "JOIN";
    readonly connection?: string;
    readonly invitation: QueueInfo;
    readonly reply?: boolean;
  }
  | { readonly type: "SUB"; readonly connection: string }
  | { readonly type: "SUBALL" }
  | { readonly type: "SEND"; readonly connection: string; readonly body: Uint8Array }
  /** Acknowledges a message, in the mode `manual`. */
  | { readonly type: "ACK"; readonly connection: string; readonly id: number }
  | { readonly type: "OFF"; readonly connection: string }
  | { readonly type: "DEL"; readonly connection: string };

/** What an agent answers to a command; failures are thrown as `AgentError`. */
export type AgentResponse =
  | { readonly type: "INV"; readonly connection: string; readonly invitation: QueueInfo }
  | { readonly type: "OK"; readonly connection: string }
  /** The connections that are subscribed. */
  | { readonly type: "SUBSCRIBED"; readonly connections: readonly string[] }
  /** The message is stored with this number; a `sent` event follows. */
  | { readonly type: "STORED"; readonly connection: string; readonly id: number };

/** Does what a command says. Throws `AgentError`. */
export async function execute(agent: Agent, command: AgentCommand): Promise<AgentResponse> {
  switch (command.type) {
    case "NEW":
      return { type: "INV", ...await agent.create(command.connection) };
    case "JOIN": {
      const { invitation, connection: alias, reply = true } = command;
      const options = { reply, ...(alias !== undefined && { alias }) };
      return { type: "OK", connection: await agent.join(invitation, options) };
    }
    case "SUBALL":
      return { type: "SUBSCRIBED", connections: await agent.subscribeAll() };
    case "SEND": {
      const { connection, body } = command;
      return { type: "STORED", connection, id: await agent.send(connection, body) };
    }
    case "SUB":
      await agent.subscribe(command.connection);
      break;
    case "ACK":
      await agent.acknowledge(command.connection, command.id);
      break;
    case "OFF":
      await agent.suspend(command.connection);
      break;
    case "DEL":
      await agent.delete(command.connection);
      break;
    default:
      return command satisfies never;
  }
  return { type: "OK", connection: command.connection };
}
