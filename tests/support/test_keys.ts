import { importPrivateKey, type KeyPair, type KeyUsage } from "../../protocol/mod.ts";
import all from "../vectors/test_keys.json" with { type: "json" };
import { base64 } from "./vectors.ts";

/** Who holds keys that were made once: making one of 2048 bits takes longer than most tests. */
export type KeyHolder = Exclude<keyof typeof all, "about">;

/** The keys of a holder, for tests that need a key and not a new one: the same in every test file. */
export function keysOf<Usage extends KeyUsage>(
  holder: KeyHolder,
  usage: Usage,
): Promise<readonly KeyPair<Usage>[]> {
  return Promise.all(all[holder].map((pkcs8) => importPrivateKey(base64(pkcs8), usage)));
}

/** The first of {@linkcode keysOf}. */
export async function keyOf<Usage extends KeyUsage>(
  holder: KeyHolder,
  usage: Usage,
): Promise<KeyPair<Usage>> {
  const [first] = await keysOf(holder, usage);
  return first!;
}
