import type { Mutation } from "./mutation.ts";

const broker = "server/broker/broker.ts";

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
    file: "server/broker/delivery.ts",
    from: "if (former !== undefined && former !== connection && !connection.closed) {",
    to: "if (false) {",
    tests: ["tests/server/broker"],
  },
  {
    name: "recipient-unverified",
    what: "anybody can delete a queue",
    file: broker,
    from: "if (!await this.#authorizer.verify(queue.recipientKey, transmission, effort)) {",
    to: "if (false) {",
    tests: ["tests/server/broker"],
  },
  {
    name: "ok-before-stored",
    what: "SEND is answered before the message is stored",
    file: broker,
    from: "    try {\n      await this.#messages.append(recipientId, message);",
    to: '    reply({ type: "OK" });\n    try {\n      await this.#messages.append(recipientId, message);',
    tests: ["tests/server/broker"],
  },
  {
    name: "second-message",
    what: "a message is delivered before the one before is acknowledged",
    file: "server/broker/delivery.ts",
    from: "if (subscription === undefined || subscription.delivered !== null) return;",
    to: "if (subscription === undefined) return;",
    tests: ["tests/server/broker"],
  },
];
