import { assertEquals } from "@std/assert";
import type { NatsConnection } from "@nats-io/nats-core";
import { randomBytes } from "../../../protocol/mod.ts";
import { ClusterHandshakes } from "../../../server/cluster/cluster_handshakes.ts";
import { sessionKeys } from "../../support/session_keys.ts";
import { soon } from "../../support/wait.ts";

/** Two nodes, of which the second one owns everything. */
class World implements AsyncDisposable {
  readonly known = new Set<number>();
  /** Resolves when the log has what is to be stored. */
  stored = Promise.resolve();
  /** Questions whose answers come too late. */
  late = 0;
  readonly nodes: readonly ClusterHandshakes[];
  readonly #callbacks = new Map<string, (error: null, message: unknown) => void>();

  constructor(options: { readonly patience?: number } = {}) {
    this.nodes = ["a", "b"].map((node) =>
      new ClusterHandshakes({
        connection: this.#connection,
        prefix: "links",
        node,
        partitions: 4,
        ...options,
        ownerOf: () => "b",
        add: async (_partition, digest) => {
          await this.stored;
          if (this.known.has(digest)) return false;
          this.known.add(digest);
          return true;
        },
      })
    );
  }

  get #connection(): NatsConnection {
    const connection = {
      subscribe: (subject: string, { callback }: { callback: (error: null, message: unknown) => void }) => {
        this.#callbacks.set(subject, callback);
        return { unsubscribe: () => this.#callbacks.delete(subject) };
      },
      request: (subject: string, data: Uint8Array) =>
        new Promise((resolve, reject) => {
          this.#callbacks.get(subject)!(null, { data, respond: (data: Uint8Array) => resolve({ data }) });
          if (this.late > 0) {
            if (--this.late === 0) this.onLast();
            reject(new Error("timeout"));
          }
        }),
    };
    return connection as unknown as NatsConnection;
  }

  onLast: () => void = () => {};

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
  }
}

const newKeys = () => sessionKeys(randomBytes(96).toHex());

Deno.test("a handshake is new once, at whichever node", { permissions: "none" }, async () => {
  await using world = new World();
  const [a, b] = world.nodes;
  const [first, second] = [newKeys(), newKeys()];
  assertEquals(await Promise.all([a!.isNew(first), b!.isNew(second)]), [true, true]);
  for (const node of world.nodes) {
    assertEquals([await node.isNew(first), await node.isNew(second)], [false, false]);
  }
  const played = newKeys();
  const both = await Promise.all([a!.isNew(played), a!.isNew(played), b!.isNew(played)]);
  assertEquals(both.filter((isNew) => isNew).length, 1);
});

Deno.test(
  "a handshake that is asked for again, as the log was slow, is new still, and played back it is not",
  {
    permissions: "none",
  },
  async () => {
    await using world = new World();
    const [a] = world.nodes;
    const { promise, resolve } = Promise.withResolvers<void>();
    world.stored = promise;
    world.late = 2;
    world.onLast = resolve;
    const keys = newKeys();
    const asked = Promise.all([a!.isNew(keys), a!.isNew(keys)]);
    assertEquals((await soon(asked)).toSorted(), [false, true]);
    assertEquals(await a!.isNew(keys), false);
  },
);

Deno.test("a handshake that no log keeps is refused in time, and at once where its node ends", {
  permissions: "none",
}, async () => {
  await using world = new World({ patience: 50 });
  const [a, b] = world.nodes;
  world.stored = new Promise(() => {});
  assertEquals(await soon(Promise.all([a!.isNew(newKeys()), b!.isNew(newKeys())])), [false, false]);
  await using patient = new World();
  patient.stored = world.stored;
  const asked = patient.nodes.map((node) => node.isNew(newKeys()));
  for (const node of patient.nodes) await node[Symbol.asyncDispose]();
  assertEquals(await soon(Promise.all(asked)), [false, false]);
});
