import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { createDecipheriv } from "node:crypto";
import {
  blockSizes,
  decodePacket,
  encodeBase64,
  largestMessage,
  messageTag,
  openPacket,
  packetLength,
  randomBytes,
  type RouteSecrets,
  sealPacket,
  splitMessage,
} from "../../../protocol/mod.ts";

const permissions = "none";
const route: RouteSecrets = {
  routeKey: randomBytes(32),
  senderId: encodeBase64(randomBytes(24)),
  blockSize: 4096,
};

Deno.test("A body has always the block size less 448 bytes, a packet less 476", { permissions }, async () => {
  assertEquals(packetLength(4096), 3620);
  for (const blockSize of blockSizes) {
    const packet = new Uint8Array(packetLength(blockSize));
    assertEquals((await sealPacket(packet, { ...route, blockSize })).length, blockSize - 448);
    await assertRejects(() => sealPacket(packet.slice(1), { ...route, blockSize }), RangeError);
  }
});

Deno.test(
  "A body is the nonce and AES-256-GCM with the sender ID's text as additional data",
  { permissions },
  async () => {
    const packet = randomBytes(3620), nonce = randomBytes(12);
    const body = await sealPacket(packet, route, () => nonce);
    const decipher = createDecipheriv("aes-256-gcm", route.routeKey, body.subarray(0, 12));
    decipher.setAAD(new TextEncoder().encode(route.senderId));
    decipher.setAuthTag(body.subarray(-16));
    const plaintext = decipher.update(body.subarray(12, -16));
    decipher.final();
    assertEquals([body.slice(0, 12), new Uint8Array(plaintext)], [nonce, packet]);
  },
);

Deno.test("The same packet looks different each time", { permissions }, async () => {
  const [packet] = await splitMessage(randomBytes(100), route.blockSize);
  const bodies = [await sealPacket(packet!, route), await sealPacket(packet!, route)];
  assert(bodies[0]!.toHex() !== bodies[1]!.toHex());
});

Deno.test("A body of another route, queue or length, or that was changed anywhere, is refused", {
  permissions,
}, async () => {
  const [packet] = await splitMessage(randomBytes(100), route.blockSize);
  const body = await sealPacket(packet!, route);
  assertEquals((await openPacket(body, route)).ok, true);
  const damaged = { ok: false, code: "DAMAGED" } as const;
  assertEquals(await openPacket(body, { ...route, routeKey: randomBytes(32) }), damaged);
  assertEquals(await openPacket(body, { ...route, senderId: encodeBase64(randomBytes(24)) }), damaged);
  for (const length of [0, 1, 27, 28, 3647]) {
    assertEquals(await openPacket(body.slice(0, length), route), { ok: false, code: "LENGTH" });
  }
  assertEquals(await openPacket(new Uint8Array(3649), route), { ok: false, code: "LENGTH" });
  for (let at = 0; at < body.length; at++) {
    assertEquals(await openPacket(body.with(at, body[at]! ^ (1 << (at % 8))), route), damaged);
  }
});

Deno.test(
  "A message is one packet while it fits, else pieces that make it again",
  { permissions },
  async () => {
    const sizes = [1, 3616, 3617, 3618, 3595 * 2, 3595 * 2 + 1, 60_000];
    for (const size of sizes) {
      const message = randomBytes(size);
      const packets = await splitMessage(message, 4096);
      assertEquals(packets.length, size <= 3617 ? 1 : Math.ceil(size / 3595), `${size}`);
      const pieces: Uint8Array[] = [];
      for (const [i, packet] of packets.entries()) {
        assertEquals(packet.length, 3620);
        const decoded = decodePacket(packet);
        assert(decoded.ok);
        if (decoded.packet.type === "message") {
          pieces.push(decoded.packet.message);
          continue;
        }
        assert(decoded.packet.type === "piece");
        const { tag, index, count, total, piece } = decoded.packet;
        assertEquals([tag, index, count, total], [await messageTag(message), i, packets.length, size]);
        pieces.push(piece);
      }
      assertEquals(Buffer.concat(pieces).equals(message), true);
    }
  },
);

Deno.test("Messages of up to 4 MiB can be sent on every route", { permissions }, async () => {
  for (const blockSize of blockSizes) {
    const packets = await splitMessage(new Uint8Array(largestMessage), blockSize);
    assertEquals(packets.length, Math.ceil(largestMessage / (blockSize - 476 - 25)));
    assert(decodePacket(packets.at(-1)!).ok);
  }
  for (const size of [0, largestMessage + 1]) {
    await assertRejects(() => splitMessage(new Uint8Array(size), 4096), RangeError);
  }
});

Deno.test("What a packet says must fit it", { permissions }, async () => {
  const code = (packet: Uint8Array<ArrayBuffer>) => {
    const decoded = decodePacket(packet);
    return decoded.ok ? decoded.packet.type : decoded.code;
  };
  const withBytes = (packet: Uint8Array<ArrayBuffer>, at: number, ...bytes: number[]) => {
    const changed = packet.slice();
    changed.set(bytes, at);
    return changed;
  };
  const [whole] = await splitMessage(new Uint8Array(100), 4096);
  assertEquals(code(withBytes(whole!, 1, 0x0e, 0x21)), "message");
  assertEquals(code(withBytes(whole!, 1, 0x0e, 0x22)), "LENGTH");
  assertEquals(code(new Uint8Array(3620)), "LENGTH", "an empty message");
  for (const at of [103, 1000, 3619]) assertEquals(code(withBytes(whole!, at, 1)), "PADDING");
  assertEquals(code(withBytes(whole!, 0, 2)), "repair");
  assertEquals(code(withBytes(whole!, 0, 3)), "stream chunk");
  for (const kind of [4, 5, 128, 255]) assertEquals(code(withBytes(whole!, 0, kind)), "KIND");
  assertEquals(code(new Uint8Array(0)), "LENGTH");
  for (const length of [1, 2]) assertEquals(code(whole!.slice(0, length)), "LENGTH");
  const [piece] = await splitMessage(new Uint8Array(3595 * 2 + 1), 4096);
  const indexAt = 17, countAt = 19, totalAt = 21;
  assertEquals(code(piece!), "piece");
  assertEquals(code(withBytes(piece!, indexAt, 0, 2)), "piece");
  assertEquals(code(withBytes(piece!, 3619, 1)), "piece", "full");
  assertEquals(code(withBytes(withBytes(piece!, 3619, 1), indexAt, 0, 2)), "PADDING");
  assertEquals(code(withBytes(piece!, indexAt, 0, 3)), "PIECE");
  for (const count of [0, 1, 2, 4]) assertEquals(code(withBytes(piece!, countAt, 0, count)), "PIECE");
  assertEquals(code(withBytes(piece!, totalAt, 0, 0, 0x1c, 0x16)), "PIECE", "one piece fewer");
  assertEquals(code(withBytes(piece!, totalAt, 0, 0, 0, 0)), "PIECE");
  assertEquals(code(withBytes(piece!, totalAt, 0, 0x40, 0, 1)), "LARGE");
  for (const length of [1, 17, 24, 25]) assertEquals(code(piece!.slice(0, length)), "LENGTH");
});

Deno.test("Any packet is read or refused", { permissions }, () => {
  fc.assert(fc.property(fc.nat(4), fc.uint8Array({ maxLength: 100 }), (kind, rest) => {
    const decoded = decodePacket(Uint8Array.of(kind, ...rest));
    if (decoded.ok && decoded.packet.type === "piece") {
      const { index, count, total, piece } = decoded.packet;
      assert(index < count && piece.length > 0 && piece.length <= total && total <= largestMessage);
    }
  }));
});
