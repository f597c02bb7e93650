import { assertEquals } from "@std/assert";
import { hkdf } from "../../protocol/crypto/hkdf.ts";
import vectors from "../vectors/hkdf.json" with { type: "json" };

const permissions = "none";

Deno.test("HKDF-SHA-256 gives the bytes of RFC 5869", { permissions }, async () => {
  for (const { from, secret, salt, info, output } of vectors.hkdf) {
    const made = await hkdf(Uint8Array.fromHex(secret), {
      salt: Uint8Array.fromHex(salt),
      info: Uint8Array.fromHex(info),
      length: output.length / 2,
    });
    assertEquals(made.toHex(), output, from);
  }
});
