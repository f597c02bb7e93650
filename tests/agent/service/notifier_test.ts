import { assertEquals } from "@std/assert";
import { Agent, type StreamOffer } from "../../../agent/mod.ts";
import { systemClock } from "../../../agent/clock.ts";
import type { Extension, ServiceResponse } from "../../../agent/service/command.ts";
import { Notifier } from "../../../agent/service/notifier.ts";
import type { Subscriber } from "../../../agent/service/watch.ts";
import { connectAgents, keySource, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { sessions, settled } from "../../support/streams.ts";
import { until } from "../../support/wait.ts";

/** A session that has room when a test says so. */
class FakeSession implements Subscriber {
  isFull = false;
  acknowledges = false;
  readonly extensions = new Set<Extension>();
  readonly said: string[] = [];
  #wake = () => {};

  say(_id: unknown, alias: string, response: ServiceResponse): Promise<void> {
    const text = response.type === "MSG" ? new TextDecoder().decode(response.message.body) : "";
    this.said.push(`${alias} ${response.type} ${text}`.trimEnd());
    return Promise.resolve();
  }

  readonly offers: string[] = [];

  offered({ name }: StreamOffer): void {
    this.offers.push(name);
  }

  drop(): void {}

  async room(): Promise<void> {
    while (this.isFull) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  empty(): void {
    this.isFull = false;
    this.#wake();
  }
}

Deno.test("what a session has no room for waits in the store, and is told in order when there is", async () => {
  await using server = await startServer();
  await using own = await startServer();
  await using peer = await TestAgent.start(server.address);
  const agent = await Agent.start({
    servers: [own.address],
    acknowledge: "manual",
    keyPool: keySource(),
    retry: { first: 5, most: 50 },
  });
  const notifier = new Notifier(agent, systemClock);
  const run = notifier.run();
  const session = new FakeSession();
  notifier.attach(session);
  const { invitation } = await peer.agent.create("b");
  session.isFull = true;
  await notifier.join(session, 1, "a", { invitation, reply: true });
  await peer.next("connected");
  await peer.send("b", "one");
  await peer.send("b", "two");
  await peer.next("sent");
  await peer.next("sent");
  // The server delivers the second one after the first is acknowledged.
  await until(() => agent.connection("a").connected && own.gauges().messages === 2);
  assertEquals(session.said, []);
  session.empty();
  await until(() => own.gauges().messages === 0);
  assertEquals(session.said, ["a CON", "a MSG one", "a MSG two"]);
  notifier.release(session);
  await notifier[Symbol.asyncDispose]();
  await agent.close();
  await run;
});

Deno.test("of streams that are offered while there is no room those are told that are left when there is", async () => {
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address, sessions);
  const agent = await Agent.start({
    servers: [server.address],
    keyPool: keySource(),
    retry: { first: 5, most: 50 },
    ...sessions,
  });
  const notifier = new Notifier(agent, systemClock);
  const run = notifier.run();
  const session = new FakeSession();
  notifier.attach(session);
  const { invitation } = await peer.agent.create("b");
  await notifier.join(session, 1, "a", { invitation, reply: true });
  await settled(peer);
  session.isFull = true;
  for (let name = 1; name <= 3; name++) {
    const stream = await peer.agent.offerStream("b", { name: `${name}` });
    await until(() => agent.streams().length === 1);
    if (name < 3) await stream.cancel();
    await until(() => agent.streams().length === (name < 3 ? 0 : 1));
  }
  assertEquals(session.offers, []);
  session.empty();
  await until(() => session.offers.length > 0);
  assertEquals(session.offers, ["3"]);
  notifier.release(session);
  await notifier[Symbol.asyncDispose]();
  await agent.close();
  await run;
});

Deno.test("a session that has ended owns nothing, whatever it had begun", async () => {
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  await using other = await TestAgent.start(server.address);
  await connectAgents(peer, other);
  const notifier = new Notifier(peer.agent, systemClock);
  const session = new FakeSession();
  notifier.attach(session);
  const subscribing = notifier.subscribe(session, 1, "b");
  notifier.release(session);
  await subscribing;
  assertEquals(notifier.isOwned("b"), false);
  await notifier[Symbol.asyncDispose]();
});
