import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { newHash, PlainHash } from "../../../agent/stream/hash.ts";

Deno.test("SHA-256 of parts of any lengths is that of the whole, with the runtime's and without", async () => {
  const part = fc.uint8Array({ maxLength: 200 });
  await fc.assert(fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
    const whole = await new Blob(parts as BlobPart[]).arrayBuffer();
    const expected = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
    for (const hash of [newHash(), new PlainHash()]) {
      for (const one of parts) hash.update(one);
      assertEquals(hash.digest(), expected);
    }
  }));
});
