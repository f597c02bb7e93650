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

const repairs = "agent/runtime/repairs.ts";
const hostileRepair = "tests/agent/repair/hostile_repair_test.ts";

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
    from: "if (isBelieved && greatest(stored) <= Math.max(lastEncrypted, greatest(receipted))) {",
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
    from: "countBeyond(stored) > most ? null : stored",
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
  {
    name: "routes-unbounded",
    what: "a peer names as many servers as it likes",
    file: "agent/session/route_budget.ts",
    from: "  if (room === 0) return null;\n",
    to: "",
    tests: ["tests/agent/session/route_budget_test.ts"],
  },
  {
    name: "receipt-each-time",
    what: "a receipt is made while another one has not gone",
    file: "agent/runtime/receipts.ts",
    from: "this.#unsentOf(id) ?? await",
    to: "await",
    tests: ["tests/agent/session/receipts_test.ts"],
  },
  {
    name: "acknowledged-twice",
    what: "a message that is acknowledged twice at once makes room twice",
    file: "agent/runtime/interpreter.ts",
    from: "    if (before !== undefined) return before;\n",
    to: "",
    tests: ["tests/agent/session/backpressure_test.ts"],
  },
  {
    name: "receipts-looked-up-each",
    what: "nothing that a receipt tells is united with what others told",
    file: packets,
    from: "union(acknowledged ?? delivered, frame.acknowledged)",
    to: "union(delivered, frame.acknowledged)",
    tests: ["tests/agent/session/many_receipts_test.ts"],
  },
  {
    name: "pieces-unbounded",
    what: "all connections together keep any number of pieces",
    file: "agent/runtime/piece_budget.ts",
    from: "if (total <= this.#most) return;",
    to: "if (total >= 0) return;",
    tests: ["tests/agent/session/piece_budget_test.ts"],
  },
  {
    name: "transcript-kept",
    what: "the keys of first routes are kept",
    file: "agent/session/ready.ts",
    from: "{ kinds, transcript: {} }",
    to: "{ kinds }",
    tests: ["tests/agent/session/transcript_test.ts"],
  },
  {
    name: "silence-forgotten",
    what: "a day without receipts begins anew with each frame",
    file: "agent/session/sending.ts",
    from: "session.receipted.upTo >= session.lastTaken && cursor",
    to: "cursor",
    tests: ["tests/agent/session/silence_test.ts"],
  },
  {
    name: "unreachable-final",
    what: "a route that was once unreachable is not replaced",
    file: "agent/session/routes.ts",
    from: "reason !== routeRefusals.unreachable",
    to: "reason > 0",
    tests: ["tests/agent/session/unreachable_route_test.ts"],
  },
  {
    name: "before-sub-told",
    what: "what comes before the answer to SUB is handled, and what was left with it",
    file: "agent/subscriptions.ts",
    from: "    if (wanted.isDoubtful) this.#hold(wanted, event);",
    to: "    if (wanted.isDoubtful && wanted.queue.window === undefined) this.#hold(wanted, event);",
    tests: ["tests/agent/subscriptions_test.ts"],
  },
  {
    name: "repair-unauthenticated",
    what: "whoever has a route key can begin to repair a session",
    file: repairs,
    from: "  if (!await isAuthenticRepair(heard, { repairKey: session.keys.repairKey! })) return refused;\n",
    to: "",
    tests: [hostileRepair],
  },
  {
    name: "repair-replayed",
    what: "a call that is played again is answered by another question",
    file: repairs,
    from: "if (packet.time <= called) return",
    to: "if (packet.time < 0) return",
    tests: [hostileRepair],
  },
  {
    name: "repair-unlimited",
    what: "a session is repaired as often as somebody wants",
    file: "agent/session/repair_state.ts",
    from: "return doneAt === null || doneAt > now || now - doneAt >= repairInterval;",
    to: "return doneAt === null || doneAt <= now || now - doneAt >= repairInterval;",
    tests: [hostileRepair],
  },
  {
    name: "repair-old-numbers",
    what: "what a restored side sends has the numbers that it had",
    file: "agent/runtime/repair_numbers.ts",
    from: "const isSame = account.greatest <= kept ||",
    to: "const isSame = account.greatest >= 0 ||",
    tests: ["tests/agent/repair/restored_test.ts"],
  },
  {
    name: "repair-copies",
    what: "what a restored side sends again is told again",
    file: "agent/runtime/repaired.ts",
    from: "const copies = rest.next > rest.kept;",
    to: "const copies = rest.next < rest.kept;",
    tests: ["tests/agent/repair/copies_test.ts"],
  },
];
