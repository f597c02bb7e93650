import type { Mutation } from "./mutation.ts";

const publish = "server/cluster/publish.ts";
const log = "server/cluster/partition_log.ts";
const state = "server/cluster/partition_state.ts";
const snapshots = "server/cluster/snapshots.ts";
const load = "server/cluster/load.ts";
const logTests = ["tests/server/cluster/partition_log_test.ts"];
const snapshotTests = ["tests/server/cluster/snapshots_test.ts"];

/** Mutations of what nodes of a cluster do. */
export const clusterMutations: readonly Mutation[] = [
  {
    name: "unknown-is-stored",
    what: "a publish whose outcome is unknown counts as stored",
    file: publish,
    from: 'if (outcome.type === "stored" && outcome.sequence === expected + 1) return "stored";',
    to: 'if (outcome.type !== "refused") return "stored";',
    tests: logTests,
  },
  {
    name: "anothers-is-own",
    what: "an owner takes another one's batch for its own",
    file: publish,
    from: 'return equalBytes(found, data) ? "stored" : "superseded";',
    to: 'return "stored";',
    tests: logTests,
  },
  {
    name: "own-is-anothers",
    what: "an owner gives up when the acknowledgement of its batch is lost",
    file: publish,
    from: 'return equalBytes(found, data) ? "stored" : "superseded";',
    to: 'return "superseded";',
    tests: logTests,
  },
  {
    name: "answered-while-paused",
    what: "an owner that pauses answers what was stored meanwhile",
    file: log,
    from: "    await this.#unpaused();\n    const changes",
    to: "    const changes",
    tests: logTests,
  },
  {
    name: "waiting-is-unknown",
    what: "what was never published when a partition is lost is not known to be so",
    file: log,
    from: "reject(never);",
    to: "reject(error);",
    tests: logTests,
  },
  {
    name: "late-reads-are-gaps",
    what: "what a leader does not have yet counts as removed",
    file: load,
    from: "if (first > sequence) return null;",
    to: "if (first > 0) return null;",
    tests: logTests,
  },
  {
    name: "commands-unknown",
    what: "the next owner does not know what was executed",
    file: state,
    from: "if (commandId !== undefined && isDone)",
    to: "if (false && commandId !== undefined)",
    tests: logTests,
  },
  {
    name: "purge-too-far",
    what: "the log is cut behind the last snapshot, and the one before is of no use",
    file: snapshots,
    from: "await this.#removeBefore(previous);",
    to: "await this.#removeBefore(last);",
    tests: snapshotTests,
  },
  {
    name: "snapshots-of-all-ages",
    what: "no snapshot is ever removed",
    file: snapshots,
    from: "if ((sequenceOf(name) ?? sequence) >= sequence) continue;",
    to: "if (sequence >= 0) continue;",
    tests: snapshotTests,
  },
  {
    name: "snapshot-of-later",
    what: "a snapshot has what came after its sequence",
    file: state,
    from: "messages: [...this.messages.messages()],",
    to: "messages: this.messages.messages() as never,",
    tests: snapshotTests,
  },
  {
    name: "no-older-snapshot",
    what: "a damaged snapshot makes the log useless",
    file: load,
    from: "return [places.last, places.previous];",
    to: "return [places.last];",
    tests: snapshotTests,
  },
  {
    name: "anothers-snapshot",
    what: "a partition is loaded from a snapshot of a later owner",
    file: load,
    from: "if (place !== null && place.sequence > last) {",
    to: "if (place === undefined) {",
    tests: snapshotTests,
  },
  {
    name: "late-bytes-of-nats",
    what: "what was read from a connection to NATS that was left is taken for the next one's",
    file: "server/cluster/engine_transport.ts",
    from: "if (this.isClosed || length === null) return;",
    to: "if (length === null) return;",
    tests: ["tests/server/cluster/engine_transport_test.ts"],
  },
  {
    name: "lost-behind-all",
    what: "a message between nodes that is lost behind all others is missed when the next one comes",
    file: "server/cluster/node_stream.ts",
    from: "if (sent !== undefined && sent >= this.#expected)",
    to: "if (sent === 0 && sent >= this.#expected)",
    tests: ["tests/server/cluster/node_stream_test.ts"],
  },
  {
    name: "slow-claims-count",
    what: "a partition whose log cannot be had keeps a node from claiming others",
    file: "server/cluster/partition_keeper.ts",
    from: "now - since < times.slowClaim",
    to: "now - since < Infinity",
    tests: ["tests/server/cluster/partition_keeper_test.ts"],
  },
  {
    name: "import-deletes",
    what: "an import deletes what an interrupted one had not stored",
    file: "server/cluster/content.ts",
    from: 'const isAgain = marker.state === "filling";',
    to: 'const isAgain = marker.state !== "ended";',
    tests: ["tests/server/cluster/content_test.ts"],
  },
  {
    name: "served-while-imported",
    what: "a node starts on a part of an import",
    file: "server/cluster/import_marker.ts",
    from: 'return state === "ended" || state === "begun" ? state : "filling";',
    to: 'return "ended";',
    tests: ["tests/server/cluster/content_test.ts"],
  },
];
