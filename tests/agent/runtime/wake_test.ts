import { assert } from "@std/assert";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { type Incoming, Receiver } from "../../../agent/runtime/receiver.ts";
import { Sender } from "../../../agent/runtime/sender.ts";
import { turn } from "../../support/fake_server.ts";

const interpreter = {} as Interpreter;

/** Has something to do twice, the second time so many microtasks after the first; gives how often it was looked at. */
async function twice(count: number, { more, looks }: { more: () => void; looks: () => number }) {
  more();
  for (let i = 0; i < count; i++) await Promise.resolve();
  const before = looks();
  more();
  await turn();
  return looks() - before;
}

Deno.test("a message that comes in the very moment in which a receiver has done with all others is handled", async () => {
  let looks = 0;
  const connections = { receiving: () => void looks++ };
  const context = { connections } as unknown as AgentContext;
  const incoming = { message: { messageId: "" } } as Incoming;
  for (let count = 0; count < 20; count++) {
    const receiver = new Receiver("route", context, interpreter);
    const more = () => receiver.take(incoming);
    assert(await twice(count, { more, looks: () => looks }) > 0, `${count}`);
    await receiver.close();
  }
});

Deno.test("what is to be sent in the very moment in which a sender has done with all else is sent", async () => {
  let looks = 0;
  const store = { deliveries: () => (looks++, Promise.resolve([])) };
  const connections = { sending: () => undefined };
  const context = { store, connections } as unknown as AgentContext;
  for (let count = 0; count < 20; count++) {
    const sender = new Sender("route", context, interpreter);
    const more = () => sender.wake();
    assert(await twice(count, { more, looks: () => looks }) > 0, `${count}`);
    await sender.close();
  }
});
