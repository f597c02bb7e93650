/**
 * Streams between agents that have a session (streams.md): what their frames say, and the packets that carry chunks.
 *
 * @example Encrypt and decrypt a chunk
 * ```ts
 * import {
 *   decodePacket,
 *   largestChunk,
 *   openChunk,
 *   randomBytes,
 *   runKeyOf,
 *   sealChunk,
 *   textBytes,
 * } from "@simplexmq/smp/protocol";
 *
 * const blockSize = 65_536, streamKey = randomBytes(32), run = randomBytes(16);
 * const keys = { run, key: await runKeyOf(streamKey, run), chunkSize: largestChunk(blockSize) };
 * const packet = await sealChunk(textBytes("hello"), keys, { number: 1, isLast: true, blockSize });
 * const decoded = decodePacket(packet);
 * if (decoded.ok && decoded.packet.type === "stream chunk") {
 *   console.log(await openChunk(decoded.packet.content, keys)); // the bytes of "hello"
 * }
 * ```
 *
 * @module
 */
export {
  isCredit,
  largestChunk,
  openChunk,
  readStreamHead,
  runKeyOf,
  sealChunk,
  sealCredit,
  type StreamPacketHead,
  type StreamRun,
} from "./chunk.ts";
export * from "./content.ts";
