/**
 * Agents: duplex connections over two SMP queues, end-to-end encrypted, with messages whole and in order.
 *
 * Works with agents of the reference implementation (0.3) through either side's server. With the option
 * `extensions: ["session1"]` connections to agents that announce the same are upgraded to sessions (docs/protocol.md):
 * forward secrecy, `delivered` events, messages of 1 MiB, and queues that move from server to server.
 *
 * @example Make a connection, wait for the other side and answer its messages
 * ```ts
 * import { Agent } from "@simplexmq/smp/agent";
 * import { formatQueueInfo } from "@simplexmq/smp";
 *
 * await using agent = await Agent.start({ servers: ["localhost:5223#x8…"] });
 * const { invitation } = await agent.create("friend");
 * console.log(formatQueueInfo(invitation)); // the other side: agent.join(…)
 * for await (const event of agent.events()) {
 *   if (event.type !== "message") continue;
 *   // What cannot be answered, because the connection has one direction for instance, must not end the loop.
 *   await agent.send(event.connection, event.message.body).catch(console.error);
 * }
 * ```
 *
 * @example Upgrade connections, and compare the safety code of each
 * ```ts
 * import { Agent } from "@simplexmq/smp/agent";
 *
 * const servers = ["smp1.example.com#x8…", "smp2.example.com#k2…"];
 * await using agent = await Agent.start({ servers, extensions: ["session1"], routes: 2 });
 * for await (const event of agent.events()) {
 *   if (event.type !== "session" || event.change !== "active") continue;
 *   // Both users compare it over another channel; then: agent.verify(event.connection, code)
 *   const code = agent.safetyCode(event.connection);
 *   console.log(event.connection, code);
 * }
 * ```
 *
 * @module
 */
export { Agent } from "./agent.ts";
export type { Backoff } from "./backoff.ts";
export type { AgentCommand, AgentResponse } from "./command.ts";
export type { KeySource, LeastBits, StoredKeyPair } from "./key_pool.ts";
export type { AgentEvent, OfConnection, ReceivedMessage } from "./events.ts";
export type { AgentOptions, ConnectionInfo, Invitation, LeaveProgress, SessionInfo } from "./options.ts";
export type { ConnectionState } from "./core/connection_state.ts";
export { AgentError, type AgentErrorCode, type BrokerTransportError } from "./protocol/error.ts";
export type { LastMessage, MessageIntegrity } from "./protocol/integrity.ts";
export type { Confirmation } from "./runtime/context.ts";
export type { EventOptions } from "./runtime/events.ts";
export type { AgentNumbers, ServerInfo } from "./runtime/numbers.ts";
export type { AgentStreams } from "./stream/agent_streams.ts";
export { StreamError, type StreamErrorCode } from "./stream/error.ts";
export type {
  OutgoingStream,
  ReceivedFile,
  ReceiveFileOptions,
  SendFileOptions,
  StreamDescription,
  StreamInfo,
  StreamOffer,
  StreamProgress,
  WritableFile,
  WritableOutgoingStream,
} from "./stream/types.ts";
export { MemoryStore } from "./store/memory.ts";
export * from "./store/store.ts";
