/**
 * The SMP 0.3 protocol: commands, transmissions, addresses, keys and the encrypted transport.
 *
 * What both ends agree on. Everything but `transport/` is pure: bytes in, values out. Client, server and agent import
 * from here and nowhere deeper, which is why small helpers are exported too.
 *
 * @example Parse a server address
 * ```ts
 * import { parseAddress } from "@simplexmq/smp/protocol";
 *
 * const { host, port } = parseAddress("smp.example.org:5223");
 * console.log(host, port);
 * ```
 *
 * @module
 */
export * from "./address.ts";
export { decodeBase64, encodeBase64, lendBase64 } from "./base64.ts";
export {
  asciiText,
  equalBytes,
  joinParts,
  latin1Bytes,
  type Part,
  partsLength,
  randomBytes,
  textBytes,
} from "./bytes.ts";
export { type ClientCommand, largestWindow, type Rekey, type ServerResponse } from "./command.ts";
export * from "./crypto/mod.ts";
export { deferred } from "./deferred.ts";
export * from "./error.ts";
export * from "./extensions.ts";
export { GiveWay, SocketLooks } from "./give_way.ts";
export * from "./password.ts";
export * from "./ratchet/mod.ts";
export * from "./stream/mod.ts";
export * from "./transmission.ts";
export * from "./transport/mod.ts";
