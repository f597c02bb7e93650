/** What several of the records of a backup have. */
import { decodeBase64, type ServerAddress } from "../../protocol/mod.ts";
import { bytes, integer, object, oneOf, optional, type Parse, text } from "./shapes.ts";

/** A yes or no. */
export const flag: Parse<boolean> = oneOf(true, false);
/** A number or a time. */
export const count: Parse<number> = integer(0, Number.MAX_SAFE_INTEGER);
/** An ID of this agent's own. */
export const localId: Parse<string> = text(64, /^[\w+/=-]+$/);
/** A key as DER. */
export const key: Parse<Uint8Array<ArrayBuffer>> = bytes(1, 16_384);

/** Base64 of at most 256 characters. */
export const base64: Parse<string> = (value, place) => {
  const found = text(256, /^/)(value, place);
  if (decodeBase64(found) === null) throw new TypeError(`${place} is not base64`);
  return found;
};

/** Where a server is. */
export const server: Parse<ServerAddress> = object<ServerAddress>({
  host: text(255, /^[!-~]+$/),
  port: optional(integer(1, 65_535)),
  keyHash: optional((value, place) => {
    const found = base64(value, place);
    if (decodeBase64(found)?.length !== 32) throw new TypeError(`${place} is not of 32 bytes`);
    return found;
  }),
});
