/**
 * How SMP bytes travel: channels, the RSA handshake and encrypted blocks (transport.md).
 *
 * @example Connect two ends inside one program
 * ```ts
 * import { clientHandshake, generateKeyPair, memoryChannelPair, serverHandshake } from "@simplexmq/smp/protocol";
 *
 * const [clientEnd, serverEnd] = memoryChannelPair();
 * const serving = serverHandshake(serverEnd, await generateKeyPair("decrypt"));
 * const [client, server] = await Promise.all([clientHandshake(clientEnd), serving]);
 * await client.write([new TextEncoder().encode("hello ")]);
 * console.log(await server.read());
 * ```
 *
 * @module
 */
export {
  BlockChannel,
  BlockCipher,
  type BlockCiphers,
  type BlockContent,
  blockSizes,
  contentLimit,
  defaultBlockSize,
  type SessionEnd,
  type SessionKeys,
} from "./block_channel.ts";
export { type Channel, closedError, networkError, sizeError, terminatedError } from "./channel.ts";
export * from "./handshake.ts";
export { memoryChannelPair } from "./memory_channel.ts";
export { ReadAhead } from "./read_buffer.ts";
export { answerRekey, type RekeyRequest, startRekey } from "./rekey.ts";
export { connectTcp, tcpChannel, type TcpConnection } from "./tcp_channel.ts";
export { UnitQueue } from "./unit_queue.ts";
export { connectWebSocket } from "./websocket_channel.ts";
