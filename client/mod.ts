/**
 * A client of SMP servers: commands as functions, messages as async iterators, keep-alive by itself.
 *
 * Works with every 0.3 server over TCP (Deno) or WebSocket (Deno and browsers).
 *
 * @example Create, secure, send, receive and acknowledge
 * ```ts
 * import { generateKeyPair, SmpClient } from "@simplexmq/smp";
 *
 * await using client = await SmpClient.connect("localhost:5223#x8…"); // what the server prints
 * const queue = await client.createQueue();
 * const sender = await generateKeyPair("sign");
 * await client.secureQueue(queue, sender.publicKey);
 * const message = new TextEncoder().encode("hello");
 * await client.send({ senderId: queue.senderId, senderKey: sender.privateKey }, message);
 * for await (const event of client.events(queue)) {
 *   if (event.type === "MSG") console.log(new TextDecoder().decode(event.body));
 *   await client.acknowledge(queue);
 *   break;
 * }
 * ```
 *
 * @module
 */
export type { CommandOptions, ConnectionLimits } from "./connection.ts";
export type { EndEvent, MessageEvent, QueueEvent, RecipientQueue, SenderQueue } from "./queue.ts";
export {
  checkIsAddress,
  checkVerifiable,
  type ForwardSecrecy,
  type KnownServers,
  type SmpClientOptions,
} from "./options.ts";
export { type SendOptions, SmpClient, type SubscribeOptions } from "./smp_client.ts";
export { secureWebSocketTransport, tcpTransport, type Transport, webSocketTransport } from "./transport.ts";
