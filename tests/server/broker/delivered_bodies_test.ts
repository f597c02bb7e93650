import { assertEquals } from "@std/assert";
import { DeliveredBodies } from "../../../server/broker/delivered_bodies.ts";
import { TestBroker } from "../../support/broker.ts";

const permissions = "none";
const test = new TestBroker(), [a, b, c] = [test.connect(), test.connect(), test.connect()];

function newBodies(count: number, length = 60_000) {
  const bodies = Array.from({ length: count }, () => new Uint8Array(length));
  const messages = bodies.map((body, at) => ({ id: `${at}`, timestamp: new Date(), body }));
  const left = () => bodies.flatMap(({ length }, at) => length > 0 ? [`${at}`] : []).join();
  return { messages, left };
}

Deno.test("a large body is given back when it was written and is acknowledged, and not before both", {
  permissions,
}, () => {
  const delivered = new DeliveredBodies(), { messages, left } = newBodies(3);
  const written = messages.map((message) => delivered.pushed("q", a!, message));
  written[0]?.();
  written[1]?.();
  assertEquals(left(), "0,1,2");
  delivered.acknowledged("q", ["0"]);
  assertEquals(left(), "1,2");
  // Its client knows the ID of the last one from before, and acknowledges it unread.
  delivered.acknowledged("q", ["1", "2"]);
  assertEquals(left(), "2");
  const small = newBodies(1, 30_000);
  assertEquals(delivered.pushed("q", a!, small.messages[0]!), undefined);
  delivered.acknowledged("q", ["0"]);
  assertEquals(small.left(), "0");
});

Deno.test("nothing is given back that a connection may wait to write which had the queue before", {
  permissions,
}, () => {
  for (const after of [b!, a!]) {
    const delivered = new DeliveredBodies(), { messages, left } = newBodies(2);
    delivered.pushed("q", a!, messages[0]!);
    delivered.subscribed("q");
    delivered.pushed("q", after, messages[0]!)?.();
    delivered.acknowledged("q", ["0"]);
    // Whoever comes then: the first connection is not closed.
    if (after === b) delivered.disconnect(after);
    delivered.subscribed("q");
    delivered.pushed("q", c!, messages[1]!)?.();
    delivered.acknowledged("q", ["1"]);
    assertEquals(left(), "0,1");
  }
});

Deno.test(
  "a connection that is closed, or has had all acknowledged, is in nobody's way",
  { permissions },
  () => {
    const delivered = new DeliveredBodies(), { messages, left } = newBodies(4);
    delivered.pushed("q", a!, messages[0]!);
    delivered.disconnect(a!);
    delivered.subscribed("q");
    delivered.pushed("q", b!, messages[0]!)?.();
    delivered.acknowledged("q", ["0"]);
    assertEquals(left(), "1,2,3");
    delivered.subscribed("q");
    delivered.pushed("q", c!, messages[1]!)?.();
    // What it had is not what the present one has.
    delivered.disconnect(b!);
    delivered.acknowledged("q", ["1"]);
    assertEquals(left(), "2,3");
    delivered.pushed("q", c!, messages[2]!);
    delivered.disconnect(b!);
    delivered.subscribed("q");
    delivered.pushed("q", a!, messages[2]!)?.();
    delivered.acknowledged("q", ["2"]);
    assertEquals(left(), "2,3");
    delivered.delete("q");
    delivered.pushed("q", a!, messages[3]!)?.();
    delivered.acknowledged("q", ["3"]);
    assertEquals(left(), "2");
  },
);

Deno.test(
  "nothing of a connection is kept when it is closed, whoever has had the queue",
  { permissions },
  () => {
    const delivered = new DeliveredBodies(), { messages, left } = newBodies(3);
    delivered.pushed("q", a!, messages[0]!);
    delivered.subscribed("q");
    delivered.pushed("q", b!, messages[0]!);
    delivered.disconnect(a!);
    delivered.acknowledged("q", ["0"]);
    delivered.disconnect(b!);
    delivered.pushed("q", c!, messages[1]!)?.();
    delivered.acknowledged("q", ["1"]);
    assertEquals(left(), "0,2");
    // Closed while what it is pushed was read.
    const closed = test.connect();
    delivered.disconnect(c!);
    closed.closed = true;
    assertEquals(delivered.pushed("q", closed, messages[2]!), undefined);
    delivered.subscribed("q");
    delivered.pushed("q", a!, messages[2]!)?.();
    delivered.acknowledged("q", ["2"]);
    assertEquals(left(), "0");
  },
);
