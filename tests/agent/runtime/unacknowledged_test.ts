import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import type { Transport } from "../../../client/mod.ts";
import {
  type BlockChannel,
  type ClientTransmission,
  decodeClientTransmission,
  encodeBase64,
  encodeServerTransmission,
  memoryChannelPair,
  randomBytes,
  serverHandshake,
  type ServerResponse,
} from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { turn } from "../../support/fake_server.ts";
import { identity } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

interface Queue {
  readonly recipientId: string;
  readonly senderId: string;
  owner: BlockChannel;
  messages: ServerResponse[];
}

/** A server that lets everybody do everything; once it is eager it keeps the last message alone and sends each at once. */
class EagerServer {
  readonly address = { host: "server", keyHash: identity.keyHash };
  isEager = false;
  readonly #queues: Queue[] = [];

  readonly transport: Transport = () => {
    const [clientEnd, serverEnd] = memoryChannelPair();
    void serverHandshake(serverEnd, identity.keyPair).then((blocks) => this.#serve(blocks)).catch(() => {});
    return Promise.resolve(clientEnd);
  };

  /** How many messages it keeps. */
  get waiting(): number {
    return this.#queues.reduce((sum, { messages }) => sum + messages.length, 0);
  }

  async #serve(blocks: BlockChannel): Promise<void> {
    for (let content; (content = await blocks.read()) !== null;) {
      const decoded = decodeClientTransmission(content);
      if (!decoded.ok) return;
      const { corrId, queueId } = decoded.value;
      const response = await this.#execute(decoded.value, blocks);
      const isNew = response.type === "IDS";
      await blocks.write([encodeServerTransmission({ corrId, queueId: isNew ? "" : queueId, response })]);
    }
  }

  async #execute({ queueId, command }: ClientTransmission, owner: BlockChannel): Promise<ServerResponse> {
    if (command.type === "NEW") {
      const [recipientId, senderId] = [newId(), newId()];
      this.#queues.push({ recipientId, senderId, owner, messages: [] });
      return { type: "IDS", recipientId, senderId };
    }
    const queue = this.#queues.find(({ recipientId, senderId }) =>
      [recipientId, senderId].includes(queueId)
    )!;
    switch (command.type) {
      case "SEND": {
        const message = { messageId: newId(), timestamp: new Date(), body: command.body };
        const response = { type: "MSG", ...message } as const;
        if (this.isEager) queue.messages = [];
        if (queue.messages.push(response) > 1) break;
        await queue.owner.write([
          encodeServerTransmission({ corrId: new Uint8Array(0), queueId: queue.recipientId, response }),
        ]);
        break;
      }
      case "SUB":
        queue.owner = owner;
        return queue.messages[0] ?? { type: "OK" };
      case "ACK":
        queue.messages.shift();
        return queue.messages[0] ?? { type: "OK" };
    }
    return { type: "OK" };
  }
}

function newId(): string {
  return encodeBase64(randomBytes(12));
}

Deno.test("of a server that waits for no acknowledgement a few messages are taken, and the rest when those are acknowledged", async () => {
  const server = new EagerServer();
  const store = new MemoryStore();
  const options = { servers: [server.address], client: { transport: server.transport } };
  await using a = await TestAgent.start([], { ...options, store, acknowledge: "manual" });
  await using b = await TestAgent.start([], options);
  const { invitation } = await a.agent.create("b");
  await b.agent.join(invitation, { alias: "a", reply: false });
  await b.next("connected");
  await until(() => server.waiting === 0);
  server.isEager = true;
  const most = 16;
  const ids: number[] = [];
  for (let i = 0; i < most; i++) {
    await b.send("a", `${i}`);
    const { message } = await a.next("message");
    assertEquals(new TextDecoder().decode(message.body), `${i}`);
    ids.push(message.id);
  }
  for (let i = 0; i < 50; i++) {
    const id = await b.send("a", `flood ${i}`);
    await b.next("sent", (event) => event.id === id);
    await turn();
  }
  const stored = async () => [
    (await a.agent.messages("b")).length,
    (await store.connections())[0]!.receiving[0]!.unacknowledged.length,
  ];
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(await stored(), [most, most]);
  // The server has not forgotten the last one.
  await a.agent.acknowledge("b", ids.shift()!);
  const { message } = await a.next("message");
  assertEquals(new TextDecoder().decode(message.body), "flood 49");
  assertEquals(await stored(), [most + 1, most]);
  // It is acknowledged when it is its turn, and an honest server sends what comes then.
  server.isEager = false;
  for (const id of [...ids, message.id]) await a.agent.acknowledge("b", id);
  await until(() => server.waiting === 0);
  await b.send("a", "last");
  assertEquals(await a.text("b"), "last");
});
