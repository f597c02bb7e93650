import { assertEquals } from "@std/assert";
import type { Backoff } from "../../../agent/backoff.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { OutboundRoute } from "../../../agent/store/store.ts";
import { Lane } from "../../../agent/stream/lane.ts";
import type { StreamLinks } from "../../../agent/stream/links.ts";
import { deferred, GiveWay, openPacket, randomBytes } from "../../../protocol/mod.ts";
import { until } from "../../support/wait.ts";

/** A lane to a server of which the test closes the connections. */
function fakeLane(retry: Backoff, connected: Promise<void> = Promise.resolve()) {
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
    way: new GiveWay(),
    use: async () => {
      await connected;
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
      return { client, release: () => {} };
    },
  } as unknown as StreamLinks;
  const context = { keys: { signing: () => Promise.resolve(null) }, retry } as unknown as AgentContext;
  const lane = new Lane(context, links, keys);
  const send = (number: number) => {
    const packet = lane.packet().fill(0);
    packet.set([3, number]);
    lane.send(number, packet);
  };
  return { lane, sent, connections, send };
}

Deno.test({
  name:
    "after a lost connection the last chunk that was taken goes first again, also when nothing is on its way",
  permissions: "none",
  async fn() {
    // A second failure without anything new taken in between would wait for minutes.
    const { lane, sent, connections, send } = fakeLane({ first: 1, most: 1e6, factor: 1e6 });
    let taken = 0;
    lane.ports = { taken: () => void taken++, lost: () => {} };
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

Deno.test({
  name: "a lane to a server that takes all at once lets all else of the agent have its turn",
  permissions: "none",
  async fn() {
    const { lane, send } = fakeLane({ first: 1, most: 1, factor: 1 });
    const end = performance.now() + 20_000;
    const others = deferred<boolean>();
    lane.ports = {
      taken: () => performance.now() < end ? send(1) : others.resolve(false),
      lost: () => {},
    };
    send(1);
    const timer = setTimeout(() => others.resolve(true), 1);
    assertEquals(await others.promise, true);
    clearTimeout(timer);
    await lane.close();
  },
});

Deno.test({
  name: "to a server that closes each connection after what goes again, it goes less and less often",
  permissions: "none",
  async fn() {
    const cutting = (retry: Backoff) => {
      const made = fakeLane(retry);
      const { lane, connections, send } = made;
      // When nothing is on its way.
      const taken = () => setTimeout(() => connections.at(-1)!.resolve(new Error("lost")));
      lane.ports = { taken: () => void (connections.length < 12 && taken()), lost: () => {} };
      send(1);
      return made;
    };
    const rare = cutting({ first: 1, most: 1_000_000, factor: 1_000_000 });
    const often = cutting({ first: 1, most: 1, factor: 1 });
    await until(() => often.sent.length === 12);
    assertEquals([rare.connections.length, rare.sent], [2, [1, 1]]);
    await Promise.all([rare.lane.close(), often.lane.close()]);
  },
});

Deno.test({
  name: "a lane that is closed while its server does not answer keeps nothing of what it was to send",
  permissions: "none",
  async fn() {
    const connected = deferred<void>();
    const { lane, sent, send } = fakeLane({ first: 1, most: 1, factor: 1 }, connected.promise);
    for (let number = 1; number <= 64; number++) send(number);
    const closing = lane.close();
    assertEquals(lane.unanswered, 0);
    connected.resolve();
    await closing;
    assertEquals(sent, []);
  },
});
