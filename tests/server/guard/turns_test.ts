import { assert, assertEquals } from "@std/assert";
import { Turns } from "../../../server/guard/turns.ts";
import { nextTurn } from "../../../server/next_turn.ts";
import { soon } from "../../support/wait.ts";

const permissions = "none";

/** Time that passes only when a test says so, however busy the machine is. */
class HeldClock implements Disposable {
  readonly #now = performance.now;
  #time = performance.now();

  constructor() {
    performance.now = () => this.#time;
  }

  passes(milliseconds: number): void {
    this.#time += milliseconds;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}

/** The names of sources in the order of their turns, when all of them wait. */
async function orderOf(sources: readonly (readonly [name: string, client: string | null])[]) {
  await using turns = new Turns();
  const order: string[] = [];
  await soon(Promise.all(sources.map(async ([name, client]) => {
    await turns.next({ client });
    order.push(name);
  })));
  return order;
}

Deno.test("a thousand connections of one address delay those of another by one command each", {
  permissions,
}, async () => {
  const flood = Array.from({ length: 1_000 }, () => ["flood", "10.0.0.1"] as const);
  const order = await orderOf([...flood, ["a", "10.0.0.2"], ["b", "10.0.0.3"], ["c", null]]);
  assertEquals(order.slice(0, 5), ["flood", "a", "b", "c", "flood"]);
  assertEquals(order.length, 1_003);
});

Deno.test(
  "a thousand /64s of one /48 delay another network, and each other network of the /48, by one command each",
  {
    permissions,
  },
  async () => {
    const flood = Array.from({ length: 1_000 }, (_, i) => {
      return ["flood", `2001:db8:1:${(i % 256).toString(16)}::/64`] as const;
    });
    const order = await orderOf([
      ...flood,
      ["neighbour", "2001:db8:1:ff00::/64"],
      ["a", "2001:db8:2:0::/64"],
      ["b", "10.0.0.2"],
    ]);
    assertEquals(order.slice(0, 5), ["flood", "a", "b", "neighbour", "flood"]);
    assertEquals(order.length, 1_003);
  },
);

Deno.test("who comes while many wait is served after a part of them", { permissions }, async () => {
  await using turns = new Turns();
  let served = 0;
  const flood = Array.from({ length: 1_000 }, async () => {
    await turns.next({ client: "10.0.0.1" });
    served++;
  });
  await turns.next({ client: null });
  assert(served < 100, `${served}`);
  await turns.next({ client: null });
  assert(served < 200, `${served}`);
  await soon(Promise.all(flood));
});

Deno.test("the connections of one address have their turns in the order in which they came", {
  permissions,
}, async () => {
  const names = Array.from({ length: 100 }, (_, i) => String(i));
  assertEquals(await orderOf(names.map((name) => [name, "10.0.0.1"] as const)), names);
});

Deno.test("commands that have no turn of their own end before the sockets are looked at", {
  permissions,
}, async () => {
  using clock = new HeldClock();
  await using turns = new Turns();
  assert(turns.hasTime());
  clock.passes(6);
  assert(!turns.hasTime());
  await soon(turns.next({ client: null }));
  await soon(turns.next({ client: null }));
  assert(turns.hasTime());
});

Deno.test(
  "who comes after a rest need not wait until the sockets are looked at",
  { permissions },
  async () => {
    using clock = new HeldClock();
    await using turns = new Turns();
    await soon(turns.next({ client: null }));
    for (let i = 0; i < 3; i++) await nextTurn();
    clock.passes(6);
    assert(turns.hasTime());
    clock.passes(6);
    assert(!turns.hasTime());
  },
);

Deno.test("sockets are looked at again and again as long as there is work", {
  permissions: { net: ["127.0.0.1"] },
}, async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using one = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using other = await listener.accept();
  await using turns = new Turns();
  let served = 0;
  let isDone = false;
  const working = (async () => {
    while (!isDone) {
      await turns.next({ client: "10.0.0.1" });
      served++;
      const since = performance.now();
      while (performance.now() - since < 5);
    }
  })();
  const echoing = other.readable.pipeTo(other.writable);
  const waited: number[] = [];
  for (let i = 0; i < 9; i++) {
    const before = served;
    await one.write(new Uint8Array(1));
    await soon(one.read(new Uint8Array(1)));
    waited.push(served - before);
  }
  isDone = true;
  await working;
  await one.closeWrite();
  await echoing;
  assert(waited.sort((a, b) => a - b)[4]! < 60, `${waited}`);
});
