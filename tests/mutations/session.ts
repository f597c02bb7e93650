import type { Mutation } from "./mutation.ts";

const sender = "agent/runtime/packet_sender.ts";
const packets = "agent/runtime/packets.ts";
const receipt = "agent/session/receipt.ts";
const session = "agent/session/session.ts";
const upgrade = "agent/session/upgrade.ts";
const stepTests = "tests/agent/session/step_test.ts";
const hostile = "tests/agent/session/hostile_session_test.ts";
const fallBack = "tests/agent/session/fall_back_test.ts";
const upg = "tests/agent/session/upg_test.ts";

/** Mutations of sessions in the agent. */
export const sessionMutations: readonly Mutation[] = [
  {
    name: "session-always-announced",
    what: "sessions are announced in connections that cannot have one",
    file: session,
    from: "return session === null ? announced.filter(",
    to: "return session !== null ? announced.filter(",
    tests: [fallBack],
  },
  {
    name: "fall-back-unchained",
    what: "messages that fall back to 0.3 name no hash of the one before",
    file: "agent/runtime/upgrades.ts",
    from:
      "    previousHash = await sha256(plaintext);\n    messages.push({ number, messageId, plaintext, hash: previousHash });",
    to: "    messages.push({ number, messageId, plaintext, hash: await sha256(plaintext) });",
    tests: [fallBack],
  },
  {
    name: "upg-answered-again",
    what: "the initiator answers a second UPG",
    file: upgrade,
    from: 'if (connection.session?.status !== "agreed" || connection.record.role !== "initiator") {',
    to: 'if (connection.session === null || connection.record.role !== "initiator") {',
    tests: [stepTests],
  },
  {
    name: "msg-beside-session",
    what: "messages of 0.3 are taken though both sides have announced sessions",
    file: "agent/kinds/msg.ts",
    from: 'if (route.status !== "active" || !isFormer) return null;',
    to: 'if (route.status !== "active") return null;',
    tests: [stepTests],
  },
  {
    name: "receipt-of-unsent",
    what: "a receipt of what was not sent is believed",
    file: receipt,
    from: "if (greatest(stored) <= lastEncrypted) {",
    to: "if (greatest(stored) >= 0) {",
    tests: [stepTests],
  },
  {
    name: "sent-twice",
    what: "a message whose receipt is first is told to be sent again",
    file: "agent/session/sending.ts",
    from: " || hasNumber(session.receipted, number)",
    to: "",
    tests: [stepTests],
  },
  {
    name: "same-number-takes-room",
    what: "messages with one number use up the room for messages that wait",
    file: receipt,
    from: "  if (number === 0) return { connection, commands: [] };",
    to:
      "  if (number === 0 || hasNumber(session!.acknowledged, number)) return { connection, commands: [] };",
    tests: [stepTests, hostile],
  },
  {
    name: "scattered-unbounded",
    what: "a peer's numbers make a set grow without bound",
    file: receipt,
    from: "united.ranges.length > mostScattered ? session!.acknowledged : united",
    to: "united",
    tests: [stepTests],
  },
  {
    name: "held-unbounded",
    what: "frames are held back however many there are",
    file: packets,
    from: "countBeyond(stored) > mostUnreceipted ? null : stored",
    to: "countBeyond(stored) < 0 ? null : stored",
    tests: [hostile],
  },
  {
    name: "pieces-forgotten",
    what: "pieces are not stored",
    file: packets,
    from: '    this.#changes.push({ type: "put piece", piece: record });\n',
    to: "    void record;\n",
    tests: [hostile],
  },
  {
    name: "waiting-unbounded",
    what: "messages are taken from servers however many wait for the application",
    file: "agent/runtime/packet_receiver.ts",
    from: "(connection?.session?.waiting ?? 0) >= mostWaiting",
    to: "(connection?.session?.waiting ?? 0) < 0",
    tests: ["tests/agent/session/left_test.ts"],
  },
  {
    name: "upg-not-given-up",
    what: "what waits for a session is taken though UPG cannot be sent",
    file: "agent/runtime/outgoing.ts",
    from: 'session?.status === "active" ? [] : sendingRoutes(connection)',
    to: "connection.outbound.length > 0 ? [] : sendingRoutes(connection)",
    tests: [upg],
  },
  {
    name: "left-acknowledged",
    what: "what was left at a server is acknowledged with what comes after it",
    file: "agent/runtime/packet_receiver.ts",
    from: "if (this.#isClosed || this.#isBehindLeft(incoming)) return;",
    to: "if (this.#isClosed) return;",
    tests: ["tests/agent/session/left_test.ts"],
  },
  {
    name: "begun-kept",
    what: "a message that is repeated goes on where it once could not be sent",
    file: sender,
    from: "      this.#begun = null;\n",
    to: "",
    tests: ["tests/agent/session/repeat_test.ts"],
  },
];
