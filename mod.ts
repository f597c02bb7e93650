/**
 * SimpleXMQ for Deno: a message broker for private, unidirectional ("simplex") queues that speaks SMP 0.3.
 *
 * This is the library's face: the client and the types of the protocol. The server is in `@simplexmq/smp/server`.
 *
 * @example Send a message through a queue
 * ```ts
 * import { SmpClient } from "@simplexmq/smp";
 *
 * await using client = await SmpClient.connect("localhost:5223#x8…"); // what the server prints
 * const queue = await client.createQueue();
 * await client.send({ senderId: queue.senderId }, new TextEncoder().encode("hello"));
 * ```
 *
 * @module
 */
export * from "./client/mod.ts";
export * from "./protocol/mod.ts";
