import { assertEquals } from "@std/assert";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { PacketSender } from "../../../agent/runtime/packet_sender.ts";
import { deferred, openPacket, randomBytes, SmpError, TransportError } from "../../../protocol/mod.ts";
import { until } from "../../support/wait.ts";

const keys = { server: {}, senderId: "c2lk", senderKey: null, routeKey: randomBytes(32), blockSize: 4096 };

/** The sender of a route of a session whose frames are these, of which the first one is encrypted. */
function senderOf(frames: readonly { readonly number: number }[], client: () => unknown) {
  const session = { receipted: { upTo: 0, ranges: [] }, lastEncrypted: 1, keys: { safetyCode: null } };
  let cursor = 0;
  const at = () => ({ connection: { record: { id: "c" }, session }, route: { id: "r", keys, cursor } });
  const context = {
    connections: { outbound: at },
    store: {
      frames: (_: string, after: number) => Promise.resolve(frames.filter(({ number }) => number > after)),
    },
    servers: { client: () => Promise.resolve(client()) },
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
  return { sender: new PacketSender("r", context, interpreter), session, at };
}

Deno.test({
  name: "a message of which a part could not be sent goes on there, and begins anew when it is repeated",
  permissions: "none",
  async fn() {
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
    const { sender, at } = senderOf([frame], () => client);
    sender.wake();
    await until(() => room < 0 && sent.length > 1);
    assertEquals(sent, [0, 1]);
    room = Infinity;
    await until(() => at().route.cursor === 1);
    assertEquals(sent, [0, 1, 2]);
    sender.repeat();
    await until(() => sent.length === 6);
    assertEquals(sent.slice(3), [0, 1, 2]);
    await sender.close();
  },
});

Deno.test({
  name:
    "a message in the middle of which connections are lost begins anew, as its server may have lost it, and not for ever",
  permissions: "none",
  async fn() {
    const sent: number[] = [];
    let room = 2;
    const client = {
      closed: new Promise(() => {}),
      async send(_: unknown, body: Uint8Array<ArrayBuffer>) {
        if (room-- <= 0) {
          room = 2;
          throw new TransportError("NETWORK", "lost");
        }
        const opened = await openPacket(body, keys);
        if (opened.ok && opened.packet.type === "piece") sent.push(opened.packet.index);
      },
    };
    const frame = { number: 1, messageId: 1, message: randomBytes(10_000) };
    const { sender, at } = senderOf([frame], () => client);
    sender.wake();
    await until(() => at().route.cursor === 1);
    assertEquals(sent, [0, 1, 0, 1, 0, 1, 0, 1, 2]);
    await sender.close();
  },
});

Deno.test({
  name:
    "what was never sent goes once with what is sent again after a lost connection, and that not for ever",
  permissions: "none",
  async fn() {
    const sent: number[] = [];
    const lose: (() => void)[] = [];
    const newClient = () => {
      const closed = deferred<{ readonly code: string }>();
      lose.push(() => {
        client = newClient();
        closed.resolve({ code: "NETWORK" });
      });
      return {
        closed: closed.promise,
        async send(_: unknown, body: Uint8Array<ArrayBuffer>) {
          const opened = await openPacket(body, keys);
          if (opened.ok && opened.packet.type === "message") sent.push(opened.packet.message[0]!);
        },
      };
    };
    let client = newClient();
    const frames = [1, 2, 3].map((number) => ({
      number,
      messageId: number,
      frame: new Uint8Array(0),
      message: Uint8Array.of(number),
    }));
    const { sender, session, at } = senderOf(frames, () => client);
    sender.wake();
    await until(() => at().route.cursor === 1);
    session.lastEncrypted = 3;
    lose[0]!();
    await until(() => at().route.cursor === 3);
    assertEquals(sent.sort(), [1, 1, 2, 3]);
    for (const copies of [1, 2, 3, 3]) {
      lose.at(-1)!();
      await until(() => sent.filter((number) => number === 3).length === 1 + copies);
    }
    await sender.close();
    assertEquals(sent.sort(), [1, 1, 2, 3, 3, 3, 3]);
  },
});
