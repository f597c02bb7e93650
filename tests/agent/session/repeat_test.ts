import { assertEquals } from "@std/assert";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { PacketSender } from "../../../agent/runtime/packet_sender.ts";
import { openPacket, randomBytes, SmpError } from "../../../protocol/mod.ts";
import { until } from "../../support/wait.ts";

Deno.test({
  name: "a message of which a part could not be sent goes on there, and begins anew when it is repeated",
  permissions: "none",
  async fn() {
    const keys = {
      server: {},
      senderId: "c2lk",
      senderKey: null,
      routeKey: randomBytes(32),
      blockSize: 4096,
    };
    const session = { receipted: { upTo: 0, ranges: [] }, lastEncrypted: 1, keys: { safetyCode: null } };
    let cursor = 0;
    const at = () => ({ connection: { record: { id: "c" }, session }, route: { id: "r", keys, cursor } });
    const sent: number[] = [];
    let room = 2;
    const client = {
      closed: new Promise(() => {}),
      async send(_: unknown, body: Uint8Array<ArrayBuffer>) {
        if (room-- <= 0) throw new SmpError("QUOTA");
        const opened = await openPacket(body, keys);
        if (opened.ok && opened.packet.type === "piece") sent.push(opened.packet.index);
      },
    };
    const frame = { number: 1, messageId: 1, message: randomBytes(10_000) };
    const context = {
      connections: { outbound: at },
      store: { frames: (_: string, after: number) => Promise.resolve(after < 1 ? [frame] : []) },
      servers: { client: () => Promise.resolve(client) },
      keys: { signing: () => Promise.resolve(null) },
      retry: { first: 1, most: 1 },
      failed: () => {},
    } as unknown as AgentContext;
    const interpreter = {
      do: (_: string, event: { readonly cursor: number }) => {
        cursor = event.cursor;
        return Promise.resolve(null);
      },
    } as unknown as Interpreter;
    const sender = new PacketSender("r", context, interpreter);
    sender.wake();
    await until(() => room < 0);
    assertEquals(sent, [0, 1]);
    room = Infinity;
    await until(() => cursor === 1);
    assertEquals(sent, [0, 1, 2]);
    sender.repeat();
    await until(() => sent.length === 6);
    assertEquals(sent.slice(3), [0, 1, 2]);
    await sender.close();
  },
});
