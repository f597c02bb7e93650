import { assertEquals } from "@std/assert";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { OutboundRoute } from "../../../agent/store/store.ts";
import { Lane } from "../../../agent/stream/lane.ts";
import type { StreamLinks } from "../../../agent/stream/links.ts";
import { deferred, openPacket, randomBytes } from "../../../protocol/mod.ts";
import { until } from "../../support/wait.ts";

Deno.test({
  name:
    "after a lost connection the last chunk that was taken goes first again, also when nothing is on its way",
  permissions: "none",
  async fn() {
    const keys = {
      server: { host: "server", port: 1, keyHash: new Uint8Array(32) },
      senderId: "c2lk",
      senderKey: new Uint8Array(0),
      routeKey: randomBytes(32),
      blockSize: 4096,
    } as unknown as OutboundRoute["keys"];
    const sent: number[] = [];
    const connections: ReturnType<typeof deferred<Error>>[] = [];
    const links = {
      answerTime: 1000,
      use: () => {
        const closed = deferred<Error>();
        connections.push(closed);
        const client = {
          blockSize: 4096,
          closed: closed.promise,
          async send(_: unknown, body: Uint8Array<ArrayBuffer>) {
            const opened = await openPacket(body.slice(), keys);
            if (opened.ok && opened.packet.type === "stream chunk") sent.push(opened.packet.content[0]!);
          },
        };
        return Promise.resolve({ client, release: () => {} });
      },
    } as unknown as StreamLinks;
    const context = {
      keys: { signing: () => Promise.resolve(null) },
      // A second failure without anything new taken in between would wait for minutes.
      retry: { first: 1, most: 1e6, factor: 1e6 },
    } as unknown as AgentContext;
    const lane = new Lane(context, links, keys);
    let taken = 0;
    lane.ports = { taken: () => void taken++, lost: () => {} };
    const send = (number: number) => {
      const packet = lane.packet().fill(0);
      packet.set([3, number]);
      lane.send(number, packet);
    };
    for (const number of [1, 2, 3]) send(number);
    await until(() => taken === 3);
    assertEquals([...sent].sort(), [1, 2, 3]);
    connections[0]!.resolve(new Error("lost"));
    await until(() => taken === 4);
    send(4);
    await until(() => taken === 5);
    connections[1]!.resolve(new Error("lost"));
    await until(() => taken === 6);
    assertEquals([sent.slice(3), connections.length], [[3, 4, 4], 3]);
    await lane.close();
  },
});
