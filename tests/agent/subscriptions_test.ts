import { assert, assertEquals } from "@std/assert";
import type { ServerEvents, SubscribedQueue } from "../../agent/server_events.ts";
import { subscriptionBatch, Subscriptions } from "../../agent/subscriptions.ts";
import type { RecipientQueue, SmpClient } from "../../client/mod.ts";
import { deferred, parseAddress, type PrivateKey, SmpError, TransportError } from "../../protocol/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { rejection, turn } from "../support/fake_server.ts";
import { soon, until } from "../support/wait.ts";

const permissions = "none";
const server = parseAddress("localhost:5223");

/** Subscriptions on a client whose every answer is given by the test, in any order. */
function start() {
  const told: string[] = [];
  const groups: number[] = [];
  const name = ({ id }: SubscribedQueue) => id;
  const many = (kind: string) => (_: unknown, queues: readonly SubscribedQueue[]) => {
    groups.push(queues.length);
    for (const queue of queues) told.push(`${kind} ${name(queue)}`);
  };
  const events: ServerEvents = {
    message: (queue, { messageId }) =>
      void told.push(`message ${name(queue)}${queue.window === undefined ? "" : ` ${messageId}`}`),
    ended: (queue) => void told.push(`ended ${name(queue)}`),
    refused: (queue) => void told.push(`refused ${name(queue)}`),
    connected: () => {},
    down: many("down"),
    up: many("up"),
  };
  const clock = new FakeClock();
  const closing = new AbortController();
  const subscriptions = new Subscriptions(server, {
    reconnect: { first: 100, most: 1000 },
    clock,
    events,
    dropped: (id) => void told.push(`dropped ${id}`),
    signal: closing.signal,
  });
  /** The answers that are to come, by recipient ID. */
  const sent = new Map<string, PromiseWithResolvers<number>>();
  const newClient = () => {
    const subscribe = ({ recipientId }: RecipientQueue) => {
      const answer = deferred<number>();
      sent.set(recipientId, answer);
      return answer.promise.finally(() => sent.delete(recipientId));
    };
    return { subscribe } as unknown as SmpClient;
  };
  return {
    subscriptions,
    told,
    groups,
    clock,
    sent,
    newClient,
    /** Wants a queue that was created on a connection which is gone; that it is down is told at once, and left out here. */
    want(queue: SubscribedQueue): void {
      subscriptions.created(queue, newClient());
      told.pop();
      groups.pop();
    },
    queue(id: string): SubscribedQueue {
      const loadKey = () => Promise.resolve({} as PrivateKey<"sign">);
      return { id, server, recipientId: id, senderId: "", loadKey };
    },
    /** The answer to SUB of a queue. */
    async answer(id: string): Promise<PromiseWithResolvers<number>> {
      await until(() => sent.has(id));
      return sent.get(id)!;
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new DOMException("closed", "AbortError"));
      const disposed = subscriptions[Symbol.asyncDispose]();
      for (const { reject } of sent.values()) reject(new TransportError("CLOSED", "closed"));
      await soon(disposed);
    },
  };
}

const end = (recipientId: string, sequence: number) => ({ type: "END", recipientId, sequence }) as const;
const timeout = new TransportError("TIMEOUT", "no answer");

/** Lets reactions to promises run. */
async function reactions(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

// The order on the wire decides, in whatever order the two are seen here.
for (const wire of ["END, OK", "OK, END"]) {
  for (const distance of [-1, 0, 1, 2, 3, 4, 5, 6, 8, 10]) {
    const seen = distance < 0 ? "END is seen first" : `OK is seen ${distance} reactions before END`;
    Deno.test(`of ${wire} on the wire the right one decides when ${seen}`, { permissions }, async () => {
      await using all = start();
      const { subscriptions, told, newClient, queue } = all;
      const client = newClient();
      subscriptions.connected(client);
      subscriptions.created(queue("a"), client);
      const again = subscriptions.subscribe(queue("a"));
      const answer = await all.answer("a");
      const [ok, ended] = wire === "END, OK" ? [2, 1] : [1, 2];
      if (distance < 0) subscriptions.received(end("a", ended), client);
      else answer.resolve(ok);
      await reactions(Math.abs(distance));
      if (distance < 0) answer.resolve(ok);
      else subscriptions.received(end("a", ended), client);
      await soon(again);
      await turn();
      assertEquals(told, wire === "END, OK" ? [] : ["dropped a", "ended a"]);
      assertEquals(subscriptions.size, wire === "END, OK" ? 1 : 0);
    });
  }
}

Deno.test("after a SUB that the server did not execute, an END is still that of the subscription before", {
  permissions,
}, async () => {
  await using all = start();
  const client = all.newClient();
  all.subscriptions.connected(client);
  all.subscriptions.created(all.queue("a"), client);
  all.subscriptions.resubscribe("a");
  (await all.answer("a")).reject(new SmpError("INTERNAL"));
  await until(() => all.clock.pauses.size === 1);
  all.subscriptions.received(end("a", 1), client);
  assertEquals([all.told, all.clock.pauses.size], [["dropped a", "ended a"], 0]);
});

Deno.test("an END during a SUB that the server does not execute is that of the subscription before", {
  permissions,
}, async () => {
  await using all = start();
  const client = all.newClient();
  all.subscriptions.connected(client);
  all.subscriptions.created(all.queue("a"), client);
  const again = rejection(all.subscriptions.subscribe(all.queue("a")));
  const answer = await all.answer("a");
  all.subscriptions.received(end("a", 1), client);
  const refusal = new SmpError("INTERNAL");
  answer.reject(refusal);
  assertEquals(await again, refusal);
  await turn();
  assertEquals([all.told, all.subscriptions.size, all.clock.pauses.size], [["dropped a", "ended a"], 0, 0]);
});

Deno.test("after a SUB without an answer nothing tells whose END it is, and the queue stays wanted", {
  permissions,
}, async () => {
  await using all = start();
  const client = all.newClient();
  all.subscriptions.connected(client);
  all.subscriptions.created(all.queue("a"), client);
  all.subscriptions.resubscribe("a");
  (await all.answer("a")).reject(timeout);
  await until(() => all.clock.pauses.size === 1);
  all.subscriptions.received(end("a", 1), client);
  await all.clock.endPause();
  (await all.answer("a")).resolve(2);
  await turn();
  assertEquals([all.told, all.subscriptions.size], [[], 1]);
  // But the next one counts.
  all.subscriptions.received(end("a", 3), client);
  assertEquals(all.told, ["dropped a", "ended a"]);
});

Deno.test(
  "what comes while a SUB is under way, or after one without an answer, counts when the next answer says so",
  {
    permissions,
  },
  async () => {
    await using all = start();
    const { subscriptions, told, clock } = all;
    const client = all.newClient();
    const message = (sequence: number) =>
      ({
        type: "MSG",
        recipientId: "a",
        messageId: "bTE=",
        timestamp: new Date(0),
        body: new Uint8Array(0),
        sequence,
      }) as const;
    const may = (sequence: number) => subscriptions.mayAcknowledge("a", message(sequence), client);
    subscriptions.connected(client);
    subscriptions.created(all.queue("a"), client);
    subscriptions.received(message(0), client);
    assertEquals([told, may(0)], [["message a"], true]);
    const late = rejection(subscriptions.subscribe(all.queue("a")));
    (await all.answer("a")).reject(timeout);
    await late;
    await until(() => clock.pauses.size === 1);
    subscriptions.received(message(0), client);
    assertEquals([told, may(0)], [["message a"], false]);
    await clock.endPause();
    const answer = await all.answer("a");
    subscriptions.received(message(1), client);
    assertEquals([told, may(0), may(1)], [["message a"], false, false]);
    answer.resolve(1);
    await until(() => told.length > 1);
    assertEquals([told, may(0), may(1)], [["message a", "message a"], false, true]);
    // Those of another connection are delivered again on the current one.
    assertEquals(subscriptions.mayAcknowledge("a", message(1), all.newClient()), false);
    assertEquals(subscriptions.mayAcknowledge("b", message(1), client), false);
  },
);

Deno.test("resubscribing does not cut a pause after a failure short", { permissions }, async () => {
  await using all = start();
  const client = all.newClient();
  all.subscriptions.connected(client);
  all.subscriptions.created(all.queue("a"), client);
  all.subscriptions.resubscribe("a");
  (await all.answer("a")).reject(new SmpError("INTERNAL"));
  await until(() => all.clock.pauses.size === 1);
  all.subscriptions.resubscribe("a");
  await turn();
  assertEquals([all.sent.size, all.clock.pauses.size], [0, 1]);
  await all.clock.endPause();
  (await all.answer("a")).resolve(1);
});

Deno.test("whoever was told that a queue is not subscribed to is told when it is, also by another's call", {
  permissions,
}, async () => {
  await using all = start();
  all.subscriptions.connected(all.newClient());
  const first = rejection(all.subscriptions.subscribe(all.queue("a")));
  (await all.answer("a")).reject(timeout);
  assertEquals(await first, timeout);
  const second = all.subscriptions.subscribe(all.queue("a"));
  (await all.answer("a")).resolve(1);
  await soon(second);
  await turn();
  assertEquals(all.told, ["up a"]);
});

Deno.test("numbers begin anew on each connection", { permissions }, async () => {
  await using all = start();
  all.want(all.queue("a"));
  for (const [i, ok] of [7, 1].entries()) {
    const client = all.newClient();
    all.subscriptions.connected(client);
    const answer = await all.answer("a");
    if (i === 0) all.subscriptions.received(end("a", 6), client);
    answer.resolve(ok);
    await until(() => all.told.at(-1) === "up a");
    if (i === 0) all.subscriptions.lost(timeout);
    else all.subscriptions.received(end("a", 2), client);
  }
  assertEquals(all.told, ["up a", "down a", "up a", "dropped a", "ended a"]);
});

Deno.test("what comes of a connection that was replaced changes nothing", { permissions }, async () => {
  await using all = start();
  all.want(all.queue("a"));
  all.subscriptions.connected(all.newClient());
  const old = await all.answer("a");
  all.subscriptions.lost(timeout);
  all.sent.clear();
  all.subscriptions.connected(all.newClient());
  const current = await all.answer("a");
  old.reject(new SmpError("AUTH"));
  await turn();
  assertEquals(all.told, []);
  current.resolve(1);
  await until(() => all.told.length > 0);
  assertEquals(all.told, ["up a"]);
});

Deno.test("the same recipient ID of two queues, which no honest server gives, leaves the later one", {
  permissions,
}, async () => {
  await using all = start();
  const client = all.newClient();
  all.subscriptions.connected(client);
  const twin = { ...all.queue("a"), id: "b" };
  for (const queue of [all.queue("a"), twin]) all.subscriptions.created(queue, client);
  all.subscriptions.forget("a");
  all.subscriptions.received(end("a", 1), client);
  assertEquals(all.told, ["dropped b", "ended b"]);
});

Deno.test("20 000 queues are subscribed to, no more than a batch at a time, and told of by batches", {
  permissions,
}, async () => {
  await using all = start();
  const count = 20_000;
  for (let i = 0; i < count; i++) all.want(all.queue(`${i}`));
  all.subscriptions.connected(all.newClient());
  let most = 0, answered = 0;
  while (answered < count) {
    await until(() => all.sent.size > 0);
    most = Math.max(most, all.sent.size);
    for (const { resolve } of all.sent.values()) resolve(++answered);
    await reactions(20);
  }
  await until(() => all.told.length === count);
  assertEquals(most, subscriptionBatch);
  assertEquals(new Set(all.told).size, count);
  assertEquals(all.groups, Array(count / subscriptionBatch).fill(subscriptionBatch));
});

Deno.test("a queue that fails or is not answered does not hold up the queues of other batches", {
  permissions,
}, async () => {
  await using all = start();
  const count = 10 * subscriptionBatch;
  for (let i = 0; i < count; i++) all.want(all.queue(`${i}`));
  all.subscriptions.connected(all.newClient());
  const silent = await all.answer("0");
  all.sent.delete("0");
  const seen = new Set<string>();
  while (seen.size < count - 1) {
    await until(() => all.sent.size > 0);
    for (const [id, { resolve, reject }] of all.sent) {
      seen.add(id);
      if (id.endsWith("1")) reject(new SmpError("INTERNAL"));
      else resolve(1);
    }
    await reactions(20);
  }
  const isFailing = (id: string) => id.endsWith("1");
  const expected = [...seen].filter((id) => !isFailing(id) && Number(id) >= subscriptionBatch);
  await until(() => all.told.length === expected.length);
  assertEquals(all.told, expected.map((id) => `up ${id}`));
  assertEquals(all.clock.pauses.size, count / 10);
  // Its own batch is told of when it is given up.
  silent.reject(timeout);
  await until(() => all.told.length === expected.length + subscriptionBatch - 1 - subscriptionBatch / 10);
  assertEquals(all.clock.pauses.size, count / 10 + 1);
  assertEquals(all.subscriptions.size, count);
});

Deno.test("what waits is rejected when everything is closed", { permissions }, async () => {
  const all = start();
  const waiting = rejection(all.subscriptions.subscribe(all.queue("a")));
  await all[Symbol.asyncDispose]();
  const error = await waiting;
  assert(error instanceof DOMException && error.name === "AbortError");
  assertEquals(all.told, []);
});

Deno.test(
  "who subscribes to a queue before it is said to be created gets a result",
  { permissions },
  async () => {
    await using all = start();
    const { subscriptions, newClient, queue } = all;
    const client = newClient();
    subscriptions.connected(client);
    const subscribed = subscriptions.subscribe(queue("a"));
    const answer = await all.answer("a");
    subscriptions.created(queue("a"), client);
    answer.resolve(1);
    await soon(subscribed);
    assertEquals(subscriptions.size, 1);
  },
);

const message = (recipientId: string, messageId: string, sequence: number) => (
  { type: "MSG", recipientId, messageId, timestamp: new Date(0), body: new Uint8Array(0), sequence } as const
);

Deno.test(
  "of a queue with a window, what comes before it is subscribed to again is left to come again",
  { permissions },
  async () => {
    await using all = start();
    const { subscriptions, told, newClient } = all;
    const client = newClient();
    subscriptions.connected(client);
    const subscribing = subscriptions.subscribe({ ...all.queue("a"), window: 32 });
    (await all.answer("a")).resolve(1);
    await soon(subscribing);
    subscriptions.received(message("a", "1", 1), client);
    assertEquals(told, ["message a 1"]);
    subscriptions.resubscribe("a");
    subscriptions.received(message("a", "2", 1), client);
    const answer = await all.answer("a");
    subscriptions.received(message("a", "3", 1), client);
    // The first one has expired at the server: what is left is delivered again.
    subscriptions.received(message("a", "2", 2), client);
    subscriptions.received(message("a", "3", 2), client);
    assertEquals(told, ["message a 1"]);
    answer.resolve(2);
    await until(() => told.length === 3);
    subscriptions.received(message("a", "4", 2), client);
    assertEquals(told, ["message a 1", "message a 2", "message a 3", "message a 4"]);
  },
);

Deno.test(
  "more than can be kept before the answer to SUB comes after another one",
  { permissions },
  async () => {
    await using all = start();
    const { subscriptions, told, newClient } = all;
    const client = newClient();
    subscriptions.connected(client);
    void subscriptions.subscribe({ ...all.queue("a"), window: 128 });
    const answer = await all.answer("a");
    for (let i = 0; i < 300; i++) subscriptions.received(message("a", `${i}`, 1), client);
    answer.resolve(1);
    await until(() => all.sent.get("a") !== undefined && all.sent.get("a") !== answer);
    subscriptions.received(message("a", "0", 2), client);
    (await all.answer("a")).resolve(2);
    await until(() => told.length > 0);
    assertEquals(told, ["message a 0"]);
  },
);
