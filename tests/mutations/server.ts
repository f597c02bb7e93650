import type { Mutation } from "./mutation.ts";

const broker = "server/broker/broker.ts";
const delivery = "server/broker/delivery.ts";
const recipient = "server/broker/recipient_commands.ts";
const access = "server/broker/access.ts";
const opened = "server/broker/opened_queues.ts";
const session = "server/net/session.ts";

/** Mutations of the server. */
export const serverMutations: readonly Mutation[] = [
  {
    name: "no-quota",
    what: "a queue takes any number of messages",
    file: broker,
    from: "places.count < places.most\n",
    to: "true\n",
    tests: ["tests/server/broker"],
  },
  {
    name: "end-not-sent",
    what: "a subscriber is not told that another one has taken over",
    file: delivery,
    from: "if (former !== undefined && former !== connection && !connection.closed) {",
    to: "if (false) {",
    tests: ["tests/server/broker"],
  },
  {
    name: "recipient-unverified",
    what: "anybody can delete a queue",
    file: access,
    from: 'return await this.#isSigned(recipientKey, recipientKey, submitted) ? null : "AUTH";',
    to: "return null;",
    tests: ["tests/server/broker"],
  },
  {
    name: "ok-before-stored",
    what: "SEND is answered before the message is stored",
    file: broker,
    from: "    try {\n      await this.#messages.append(recipientId, message,",
    to: '    reply({ type: "OK" });\n    try {\n      await this.#messages.append(recipientId, message,',
    tests: ["tests/server/broker"],
  },
  {
    name: "second-message",
    what: "a message is delivered before the one before is acknowledged",
    file: delivery,
    from: "while (delivered.length < (window ?? 1) && !connection.closed) {",
    to: "while (delivered.length < (window ?? 2) && !connection.closed) {",
    tests: ["tests/server/broker"],
  },
  {
    name: "open-anywhere",
    what: "an OPEN that was recorded is right on another session",
    file: access,
    from: "return isSigned && isBound ? key : null;",
    to: "return isSigned ? key : null;",
    tests: ["tests/server/broker/broker_open_test.ts"],
  },
  {
    name: "open-for-all",
    what: "what is opened with the sender's key gives the recipient's rights",
    file: opened,
    from: "return opened === key || equalBytes(opened.der, key.der);",
    to: "return true;",
    tests: ["tests/server/broker/broker_open_test.ts"],
  },
  {
    name: "opened-for-ever",
    what: "a sender ID stays open when its queue is deleted",
    file: recipient,
    from: "for (const queueId of [recipientId, senderId]) opened.delete(queueId);",
    to: "opened.delete(recipientId);",
    tests: ["tests/server/broker/broker_open_test.ts"],
  },
  {
    name: "acknowledged-unseen",
    what: "ACKM acknowledges one message more than it says",
    file: recipient,
    from: "delivered.indexOf(messageId) + 1;",
    to: "delivered.indexOf(messageId) + 2;",
    tests: ["tests/server/broker"],
  },
  {
    name: "acknowledged-half",
    what: "after an ACKM that failed half-way, messages are delivered again in the wrong order",
    file: delivery,
    from: "      if (delivered.includes(message.id)) {",
    to: "      if (false) {",
    tests: ["tests/server/broker/broker_window_failure_test.ts"],
  },
  {
    name: "pushed-without-bound",
    what: "a peer that does not read has a whole window in the memory of its connection",
    file: "server/net/waiting_pushes.ts",
    from: "return this.#count * this.#blockSize >= mostBytes;",
    to: "return false;",
    tests: ["tests/server/net/extensions_test.ts"],
  },
  {
    name: "held-back-for-ever",
    what: "what was held back is not pushed when the peer reads again",
    file: session,
    from: "    this.#broker.resume(this);\n",
    to: "",
    tests: ["tests/server/net/extensions_test.ts"],
  },
  {
    name: "rekey-late",
    what: "REKEY is taken at any time",
    file: session,
    from: "const answer = this.#hasCommands || isLate ?",
    to: "const answer = this.#hasCommands ?",
    tests: ["tests/server/net/rekey_test.ts"],
  },
  {
    name: "rekey-twice",
    what: "REKEY is taken after another command",
    file: session,
    from: "      this.#hasCommands = true;\n",
    to: "",
    tests: ["tests/server/net/rekey_test.ts"],
  },
  {
    name: "stop-discards",
    what: "a server that stops has the system drop answers that an active peer has not read",
    file: session,
    from: "isActive ? activeTime : lingerTime",
    to: "lingerTime",
    tests: ["tests/server/server_limits_test.ts"],
  },
  {
    name: "restored-window-too-wide",
    what:
      "a restored subscription is pushed more than its client's window takes, as an ACK's answer was lost",
    file: "server/broker/restoring.ts",
    from: "last === undefined ? known.delivered.length",
    to: "last === undefined ? 0",
    tests: ["tests/server/link/next_owner_test.ts"],
  },
  {
    name: "workers-given-up",
    what: "a server ends because a worker was killed often",
    file: "server/workers/supervisor.ts",
    from: "unready = served === null ? unready + 1 : 0;",
    to: "unready++;",
    tests: ["tests/server/workers/supervisor_test.ts"],
  },
];
