import type { Mutation } from "./mutation.ts";

const connection = "client/connection.ts";
const inbox = "client/inbox.ts";
const rekey = "client/rekey.ts";
const session = "client/session.ts";
const smpClient = "client/smp_client.ts";
const rekeyTests = ["tests/client/rekey_test.ts"];
const openTests = ["tests/client/open_test.ts"];
const windowTests = ["tests/client/window_test.ts"];
const largeTests = ["tests/client/large_blocks_test.ts"];

/** Mutations of the client. */
export const clientMutations: readonly Mutation[] = [
  {
    name: "rekey-downgrade",
    what: "a client goes on with the old keys when the server refuses REKEY",
    file: rekey,
    from: 'if (response.type === "ERR") {',
    to: 'if (response.type === "ERR") return;\n  if (response.type === "ERR") {',
    tests: rekeyTests,
  },
  {
    name: "rekey-any-answer",
    what: "an answer to no command counts as that to REKEY",
    file: rekey,
    from: "if (!equalBytes(answer.value.corrId, corrId)) {",
    to: "if (false) {",
    tests: rekeyTests,
  },
  {
    name: "rekey-not-required",
    what: "a server without rekey1 is used though forward secrecy is required",
    file: session,
    from: 'else if (mode === "required") throw',
    to: "else if (false) throw",
    tests: rekeyTests,
  },
  {
    name: "unsigned-while-opening",
    what: "commands go without signatures before OPEN is answered",
    file: "client/opened_queues.ts",
    from: 'return used.state === "opened" ?',
    to: "return isOpen(used) ?",
    tests: openTests,
  },
  {
    name: "unsigned-with-other-key",
    what: "a command with another key has the rights of the one that opened the queue",
    file: "client/opened_queues.ts",
    from: 'if (known !== undefined && known.key !== cryptoKey && isOpen(known)) return "sign";',
    to: 'if (known?.state === "opened") return "no signature";',
    tests: openTests,
  },
  {
    name: "given-again-at-the-end",
    what: "what is given again comes behind later commands",
    file: connection,
    from: "for (const moved of later) this.#outgoing.delete(moved);",
    to: "later.splice(0);",
    tests: openTests,
  },
  {
    name: "given-again-never-sent",
    what: "neverSent is said of what was written",
    file: connection,
    from: "isSent || request.isGivenAgain",
    to: "isSent",
    tests: openTests,
  },
  {
    name: "opens-take-places",
    what: "an OPEN makes a command BUSY",
    file: connection,
    from: " - this.#openings.size >= waiting",
    to: " >= waiting",
    tests: openTests,
  },
  {
    name: "opens-without-bound",
    what: "commands that are given up leave any number of OPENs",
    file: connection,
    from: " && this.#openings.size < this.#limits.waiting;",
    to: ";",
    tests: openTests,
  },
  {
    name: "deleted-queue-open",
    what: "commands on a deleted queue go without signatures",
    file: connection,
    from: 'if (request?.command.type === "DEL" && response.type === "OK")',
    to: "if (false)",
    tests: openTests,
  },
  {
    name: "window-overfilled",
    what: "a server may send more than a window",
    file: inbox,
    from: "if (mailbox.unacknowledged.size >= (window ?? 1)) return false;",
    to: "",
    tests: windowTests,
  },
  {
    name: "window-unread-twice",
    what: "a message that was not read comes twice when it is subscribed again",
    file: inbox,
    from:
      "mailbox.window = mailbox.asked === 0 ? window : wider(mailbox.window, window);\n    this.#clear(recipientId, mailbox);",
    to: "mailbox.window = mailbox.asked === 0 ? window : wider(mailbox.window, window);",
    tests: windowTests,
  },
  {
    name: "window-given-up",
    what: "a client leaves a server that has executed a SUBN which it had given up",
    file: inbox,
    from: "    mailbox.window = wider(mailbox.window, window);\n  }",
    to: "  }",
    tests: windowTests,
  },
  {
    name: "ack-after-internal",
    what: "without ACKM a message is acknowledged again though the first time may have worked",
    file: smpClient,
    from: 'return error instanceof SmpError && error.code !== "INTERNAL";',
    to: "return error instanceof SmpError;",
    tests: windowTests,
  },
  {
    name: "ack-unseen",
    what: "without ACKM a message that was not delivered last is acknowledged",
    file: smpClient,
    from: "if (messageId !== undefined && !isNamed && due === null) throw",
    to: "if (false) throw",
    tests: windowTests,
  },
  {
    name: "large-blocks-untold",
    what: "large blocks are tried with servers that do not list them",
    file: session,
    from: 'if (!extensions.includes("blocks1") || ',
    to: "if (",
    tests: largeTests,
  },
  {
    name: "large-blocks-unverified",
    what: "what an impostor may have listed is remembered",
    file: session,
    from: "if (server.keyHash !== undefined) knownServers",
    to: "knownServers",
    tests: largeTests,
  },
  {
    name: "answers-dropped",
    what: "a failed write ends the connection before what was answered is read",
    file: connection,
    from: "if (this.#pending.size === 0) close();",
    to: "if (true) close();",
    tests: ["tests/client/connection_test.ts"],
  },
  {
    name: "password-shown-once",
    what: "a password that was refused is never shown again",
    file: "client/password.ts",
    from: "if (this.#shown === shown && !signal?.aborted) this.#shown = null;",
    to: "",
    tests: ["tests/client/password_test.ts"],
  },
  {
    name: "reading-gives-way",
    what: "large blocks that come without end keep all other connections waiting",
    file: "client/connection.ts",
    from: "if (isLarge && !this.#way.hasTime) await this.#way.look();",
    to: "",
    tests: ["tests/client/large_blocks_test.ts"],
  },
  {
    name: "ok-for-anything",
    what: "an OK without queue ID answers any command",
    file: "client/connection.ts",
    from: 'return response.type !== "OK" || queueId !== "" || command.type === "PASS";',
    to: "return true;",
    tests: ["tests/client/password_test.ts"],
  },
  {
    name: "password-in-address",
    what: "an address may have a password, which is then told to others",
    file: "protocol/address.ts",
    from:
      '  if (text.includes("@")) throw addressError(\'it has a password before "@", which has no place here\');\n',
    to: "",
    tests: ["tests/protocol/address_test.ts"],
  },
  {
    name: "old-connection-stays",
    what: "an agent goes on with a connection that may never create a queue",
    file: "agent/runtime/new_queue.ts",
    from: "await client.close();",
    to: "",
    tests: ["tests/agent/password_test.ts"],
  },
  {
    name: "wrong-password-again",
    what: "an agent gives a wrong password at each try, and so keeps others of its address out",
    file: "agent/runtime/new_queue.ts",
    from: "if (mayPass && client.isPasswordRefused) refusedPasswords.add(server, known, error);",
    to: "",
    tests: ["tests/agent/refused_passwords_test.ts"],
  },
];
