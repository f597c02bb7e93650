import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DiscardPolicy,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { EngineError } from "../../../server/cluster/error.ts";
import { startNode } from "../../support/cluster_nodes.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";

const test = requiring(natsLack);

const losing: readonly (readonly [what: string, config: Partial<StreamConfig>])[] = [
  ["max_age", { max_age: 86_400_000_000_000 }],
  ["max_msgs,", { max_msgs: 1_000, discard: DiscardPolicy.Old }],
  ["max_bytes,", { max_bytes: 1_000_000, discard: DiscardPolicy.Old }],
  ["max_msgs_per_subject", { max_msgs_per_subject: 1_000 }],
  ["retention", { retention: RetentionPolicy.Interest }],
  ["storage", { storage: StorageType.Memory }],
];

test("a node does not start on streams that would lose what it accepts", async () => {
  await using nats = await Nats.start();
  const connection = await nats.connect();
  const manager = await jetstreamManager(connection);
  for (const [i, [what, config]] of losing.entries()) {
    const cluster = `c${i}`;
    const name = `${cluster}-${i % 2 === 0 ? "3" : "snapshots"}`;
    await manager.streams.add({ name, subjects: [`${name}.>`], storage: StorageType.File, ...config });
    const error = await assertRejects(() => startNode(nats, "a", { cluster }), EngineError, what);
    assertEquals(error.code, "STREAM");
    assert(error.message.includes(name), error.message);
  }
  await connection.close();
});

test("a node says that streams are at fewer NATS servers than there are", async () => {
  await using nats = await Nats.start({ servers: 3 });
  const alone = await startNode(nats, "a", { replicas: 1, partitions: 1 });
  const warning = (lines: readonly string[]) =>
    lines.find((line) => line.includes("fewer than 3 NATS servers"));
  assertEquals(warning(alone.lines), undefined);
  await alone.stop();
  await using again = await startNode(nats, "a", { partitions: 1 });
  assert(warning(again.lines)?.includes("test-0, test-snapshots"), again.lines.join("\n"));
});

const denied = [
  "*.batch",
  "test-3.snapshot",
  "test-snapshots.>",
  "$JS.API.STREAM.MSG.GET.test-5",
  "$JS.API.STREAM.PURGE.*",
];

test("a node that may not do all that owners do takes no partitions", async () => {
  const users = denied.map((subject, i) =>
    `{ user: few${i}, password: b, permissions: { publish: { deny: ["${subject}"] } } }`
  );
  const config = `authorization { users: [{ user: all, password: a }, ${
    users.join(", ")
  }] }\nno_auth_user: all`;
  await using nats = await Nats.start({ config });
  await using _a = await startNode(nats, "a");
  for (const [i, subject] of denied.entries()) {
    const engine = { address: nats.urls.join(), user: `few${i}`, password: "b" };
    const error = await assertRejects(
      () => startNode(nats, "b", { engine }),
      EngineError,
      "Permissions Violation",
    );
    assertEquals(error.code, "STREAM", subject);
  }
});

const unheard = [
  `subscribe: { deny: ["smp-link.test.b.stream"] }`,
  `subscribe: { deny: ["smp-link.test.*.handshake"] }`,
  `publish: { deny: ["smp-link.>"] }`,
  `subscribe: { deny: ["smp-cluster.>"] }`,
];

test("a node that cannot speak with the others, or does not hear them, takes no partitions", async () => {
  const users = unheard.map((permissions, i) =>
    `{ user: few${i}, password: b, permissions: { ${permissions} } }`
  );
  const config = `authorization { users: [{ user: all, password: a }, ${
    users.join(", ")
  }] }\nno_auth_user: all`;
  await using nats = await Nats.start({ config });
  await using a = await startNode(nats, "a");
  for (const i of unheard.keys()) {
    const engine = { address: nats.urls.join(), user: `few${i}`, password: "b" };
    const error = await assertRejects(
      () => startNode(nats, "b", { engine }),
      EngineError,
      "this user may not",
    );
    assertEquals(error.code, "UNAUTHORIZED");
  }
  assertEquals(a.node.status.nodes.map(({ node }) => node), ["a"]);
});
