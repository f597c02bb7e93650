import { assertEquals, assertRejects } from "@std/assert";
import { deadlinesFrom } from "../../agent/deadlines.ts";
import { networkError } from "../../protocol/mod.ts";
import { tcpTransport, type Transport } from "../../client/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const permissions = "none";
const hour = 3_600_000, day = 24 * hour, year = 365 * day;
const today = 50 * year;

/** Deadlines of a program that has run for a while. */
function started(at: number, ran: number) {
  const clock = new FakeClock();
  clock.advance(12_345);
  const deadlines = deadlinesFrom(at, clock);
  clock.advance(ran);
  return { clock, deadlines };
}

Deno.test(
  "a deadline is over when its time is, however long the program has run before",
  { permissions },
  () => {
    for (const ran of [0, hour, 100 * day]) {
      const { clock, deadlines } = started(today, ran);
      const deadline = deadlines.after(2 * day);
      assertEquals([deadline, deadlines.isOver(deadline, 2 * day)], [today + ran + 2 * day, false]);
      clock.advance(2 * day);
      assertEquals(deadlines.isOver(deadline, 2 * day), false);
      clock.advance(1);
      assertEquals(deadlines.isOver(deadline, 2 * day), true);
    }
  },
);

Deno.test("an hour after the start a clock is set that was not at the start", { permissions }, () => {
  const { clock, deadlines } = started(0, 0);
  assertEquals(deadlines.isSettled(), false);
  clock.advance(hour);
  assertEquals(deadlines.isSettled(), false);
  clock.advance(1);
  assertEquals(deadlines.isSettled(), true);
});

Deno.test("a deadline that was stored holds in the next program", { permissions }, () => {
  const { clock, deadlines } = started(today + day, 0);
  clock.advance(day);
  assertEquals(deadlines.isOver(today + 2 * day, 2 * day), false);
  clock.advance(1);
  assertEquals(deadlines.isOver(today + 2 * day, 2 * day), true);
});

for (const [what, stored] of [["went forward", today - year], ["went back", today + year]] as const) {
  Deno.test(`a deadline between which and now the clock ${what} is not over at once, nor never`, {
    permissions,
  }, () => {
    for (const [time, least] of [[2 * day, hour], [1000, 1000]] as const) {
      const { clock, deadlines } = started(today, 0);
      const isOver = () => deadlines.isOver(stored + time, time);
      clock.advance(least);
      assertEquals(isOver(), false);
      clock.advance(time - least + 1);
      assertEquals(isOver(), true);
    }
  });
}

/** The system's clock, until it is let go, set to another time whenever that is wanted. */
function settableClock() {
  const { now } = Date;
  const clock = { ahead: 0, [Symbol.dispose]: () => void (Date.now = now) };
  Date.now = () => now() + clock.ahead;
  return clock;
}

/** A server that cannot be reached until it can. */
function distant() {
  const link = { isUp: false, tries: 0, transport: null as unknown as Transport };
  link.transport = (address, signal) => {
    link.tries++;
    if (link.isUp) return tcpTransport(address, signal);
    return Promise.reject(networkError("connect", new Error("nobody is there")));
  };
  return link;
}

Deno.test("joining goes on when the clock is set forward by a year, or was a year ahead", async () => {
  for (const [before, after] of [[0, year], [year, 0]] as const) {
    using clock = settableClock();
    clock.ahead = before;
    await using server = await startServer();
    await using a = await TestAgent.start(server.address);
    const { invitation } = await a.agent.create("b");
    const link = distant();
    await using b = await TestAgent.start(server.address, { client: { transport: link.transport } });
    await b.agent.join(invitation, { alias: "a" });
    clock.ahead = after;
    const { tries } = link;
    await until(() => link.tries > tries + 3);
    link.isUp = true;
    await Promise.all([a.next("connected"), b.next("connected")]);
  }
});

Deno.test("joining is given up in its time when the clock is set back by a year", async () => {
  using clock = settableClock();
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  const { transport } = distant();
  await using b = await TestAgent.start(server.address, { client: { transport }, joinTimeout: 200 });
  await b.agent.join(invitation, { alias: "a" });
  clock.ahead = -year;
  assertEquals((await b.next("error", ({ error }) => error.code === "BROKER NETWORK")).connection, "a");
  await until(() => !b.agent.connection("a").canSend);
  await assertRejects(() => b.send("a", "too late"));
});
