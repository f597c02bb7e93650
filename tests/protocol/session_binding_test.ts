import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import {
  BlockChannel,
  clientHandshake,
  generateKeyPair,
  memoryChannelPair,
  randomBytes,
  serverHandshake,
} from "../../protocol/mod.ts";
import { swapKeys } from "../../protocol/transport/block_channel.ts";
import { sessionBinding } from "../../protocol/transport/session_binding.ts";
import { sessionKeys, sessionKeysHex } from "../support/session_keys.ts";
import { base64, rsaVector } from "../support/vectors.ts";
import vector from "../vectors/rekey.json" with { type: "json" };

const permissions = "none";
const serverKey = Uint8Array.fromHex(vector.serverKeyHash);

// extensions.md Server extensions
Deno.test("The binding of a session is that of the vectors", { permissions }, async () => {
  assertEquals(
    createHash("sha256").update(base64(rsaVector("rsa2048").spki)).digest("hex"),
    vector.serverKeyHash,
  );
  const before = await sessionBinding(serverKey, sessionKeys(vector.oldKeys));
  const after = await sessionBinding(serverKey, sessionKeys(vector.newKeys));
  assertEquals([before.toHex(), after.toHex()], [vector.oldBinding, vector.newBinding]);
});

Deno.test(
  "Every byte of the server's key and of the session's keys is in the binding",
  { permissions },
  async () => {
    const bindings = new Set([vector.oldBinding]);
    const keys = Uint8Array.fromHex(vector.oldKeys);
    for (let at = 0; at < 32 + keys.length; at++) {
      const changed = [serverKey.slice(), keys.slice()] as const;
      if (at < 32) changed[0][at]! ^= 1;
      else changed[1][at - 32]! ^= 1;
      bindings.add((await sessionBinding(changed[0], sessionKeys(changed[1].toHex()))).toHex());
    }
    assertEquals(bindings.size, 1 + 32 + 96);
  },
);

Deno.test(
  "Both ends of a handshake have one binding, and no two handshakes have it",
  { permissions },
  async () => {
    const { publicKey, privateKey } = await generateKeyPair("decrypt");
    const bindings: string[] = [];
    for (let run = 0; run < 3; run++) {
      const [clientEnd, serverEnd] = memoryChannelPair();
      const serving = serverHandshake(serverEnd, { publicKey, privateKey });
      const [client, server] = await Promise.all([clientHandshake(clientEnd), serving]);
      assertEquals(client.binding.length, 32);
      assertEquals(client.binding, server.binding);
      bindings.push(client.binding.toHex());
      await Promise.all([client.close(), server.close()]);
    }
    assertEquals(new Set(bindings).size, 3);
  },
);

Deno.test("Both ends give the client's keys first", { permissions }, async () => {
  const keys = sessionKeys(randomBytes(96).toHex());
  const expected = createHash("sha256").update("smp-session-binding").update(serverKey)
    .update(Uint8Array.fromHex(sessionKeysHex(keys))).digest("hex");
  const [clientEnd, serverEnd] = memoryChannelPair();
  const client = await BlockChannel.create(clientEnd, 4096, keys, { serverKey, isClient: true });
  const server = await BlockChannel.create(serverEnd, 4096, swapKeys(keys), { serverKey, isClient: false });
  assertEquals([client.binding.toHex(), server.binding.toHex()], [expected, expected]);
});
