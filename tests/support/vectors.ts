import { decodeBase64 } from "../../protocol/mod.ts";
import e2e from "../vectors/e2e.json" with { type: "json" };
import rsa from "../vectors/rsa.json" with { type: "json" };
import transport from "../vectors/transport.json" with { type: "json" };

/** The fixed test data; what each file holds is told by its `about`. */
export const vectors = { rsa: rsa.keys, transport, e2e: e2e.messages };

/** Decodes base64 that is known to be right. */
export function base64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64(text);
  if (bytes === null) throw new Error("the vector is not base64");
  return bytes;
}

/** The key of a name in `rsa.json`. */
export function rsaVector(name: string): typeof rsa.keys[number] {
  const key = rsa.keys.find((key) => key.name === name);
  if (key === undefined) throw new Error(`there is no key ${name}`);
  return key;
}
