import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Admission, type Admitted } from "../../../server/guard/admission.ts";
import { clientNetwork } from "../../../server/guard/client_network.ts";
import { checkLimits, type Limits } from "../../../server/config/limits.ts";
import { isMemoryShort } from "../../../server/guard/memory_guard.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { RateLimit } from "../../../server/guard/rate_limit.ts";

const permissions = "none";

Deno.test("an IPv6 address counts by its /64, however it is written; IPv4 alone", { permissions }, () => {
  const same = [
    "2001:db8:0:1::1",
    "2001:0DB8:0000:0001::",
    "2001:db8:0:1:ffff:ffff:ffff:ffff",
    "2001:db8:0:1::5%eth0",
  ];
  assertEquals(new Set(same.map(clientNetwork)), new Set(["2001:db8:0:1::/64"]));
  assertEquals(clientNetwork("::1"), "0:0:0:0::/64");
  assertEquals(clientNetwork("2001:db8::1"), "2001:db8:0:0::/64");
  assertEquals(clientNetwork("::ffff:10.0.0.1"), "10.0.0.1");
  assertEquals(clientNetwork("::FFFF:10.0.0.1"), "10.0.0.1");
  assert(clientNetwork("10.0.0.1") !== clientNetwork("10.0.0.2"));
  for (const odd of ["", "x", "unknown", ":", ":::", "1:2:3:4:5:6:7:8:9:10"]) clientNetwork(odd);
});

Deno.test(
  "two addresses are of one client exactly when their first 64 bits are equal",
  { permissions },
  () => {
    const group = fc.nat(0xffff);
    const address = fc.array(group, { minLength: 8, maxLength: 8 });
    const full = (groups: number[]) => groups.map((one) => one.toString(16).padStart(4, "0")).join(":");
    const short = (groups: number[]) => new URL(`http://[${full(groups)}]`).hostname.slice(1, -1);
    fc.assert(fc.property(address, address, fc.boolean(), (a, b, isSame) => {
      const other = isSame ? [...a.slice(0, 4), ...b.slice(4)] : b;
      const isEqual = a.slice(0, 4).join() === other.slice(0, 4).join();
      // The short form may write the end as IPv4.
      if (short(a).includes(".")) return;
      assertEquals(clientNetwork(full(a)) === clientNetwork(full(other)), isEqual);
      assertEquals(clientNetwork(full(a)), clientNetwork(short(a)));
    }));
  },
);

Deno.test("a rate allows a burst, then so many a second", { permissions }, () => {
  let now = 0;
  const limit = new RateLimit(() => now);
  const rate = { perSecond: 2, burst: 5 };
  const takeAll = () => {
    let count = 0;
    while (limit.take("a", rate)) count++;
    return count;
  };
  assertEquals(takeAll(), 5);
  now += 499;
  assertEquals(takeAll(), 0);
  now += 1;
  assertEquals(takeAll(), 1);
  now += 1_000_000;
  assertEquals(takeAll(), 5);
  assert(limit.take("b", rate));
});

Deno.test("clients are forgotten when their bucket is full again, or when there are too many", {
  permissions,
}, () => {
  let now = 0;
  const limit = new RateLimit(() => now);
  const rate = { perSecond: 1, burst: 1 };
  for (let i = 0; i < 100_500; i++) limit.take(`${i}`, rate);
  assertEquals(limit.size, 100_000);
  now = 10_000;
  limit.take("late", rate);
  limit.forget(10_000);
  assertEquals(limit.size, 1);
});

/** An admission with some limits, its metrics and its clock. */
function admission(given: Partial<Limits>) {
  let limits = checkLimits(given);
  const metrics = new Metrics();
  const clock = { now: 0 };
  return {
    setLimits: (changed: Partial<Limits>) => limits = { ...limits, ...changed },
    metrics,
    clock,
    admission: new Admission(() => limits, metrics, () => clock.now),
  };
}

function admitMany(to: Admission, address: string | undefined, count: number): Admitted[] {
  return Array.from({ length: count }, () => to.admit(address)).filter((one) => one !== null);
}

Deno.test("connections are limited in all, and places come back", { permissions }, () => {
  const test = admission({ connections: 3 });
  const admitted = admitMany(test.admission, undefined, 5);
  assertEquals([admitted.length, test.metrics.refusals("connections")], [3, 2]);
  for (const one of admitted.slice(1)) one.established();
  for (const one of admitted) one.left();
  assertEquals(test.admission.handshakes, 0);
  assertEquals(admitMany(test.admission, undefined, 5).length, 3);
});

Deno.test("connections are limited for each client, others are let in", { permissions }, () => {
  const test = admission({ connectionsPerIp: 2 });
  const [first] = admitMany(test.admission, "2001:db8::1", 1);
  assertEquals(admitMany(test.admission, "2001:db8::2", 3).length, 1);
  assertEquals(test.metrics.refusals("connections_per_ip"), 2);
  assertEquals(admitMany(test.admission, "2001:db8:0:1::2", 1).length, 1);
  first!.left();
  assertEquals(admitMany(test.admission, "2001:db8::3", 2).length, 1);
});

Deno.test("handshakes at a time are limited, and one that is done makes room", { permissions }, () => {
  const test = admission({ handshakes: 2 });
  const [first, second] = admitMany(test.admission, "a", 5);
  assertEquals(test.metrics.refusals("handshakes"), 3);
  first!.established();
  assertEquals(admitMany(test.admission, "a", 2).length, 1);
  first!.left();
  second!.left();
  assertEquals(test.admission.handshakes, 1);
});

Deno.test("new connections a second are limited for each client", { permissions }, () => {
  const test = admission({ handshakesPerSecondPerIp: 2, connectionsPerIp: 0 });
  assertEquals(admitMany(test.admission, "a", 30).length, 20);
  assertEquals(test.metrics.refusals("handshake_rate"), 10);
  assertEquals(admitMany(test.admission, "b", 1).length, 1);
  test.clock.now = 1000;
  assertEquals(admitMany(test.admission, "a", 5).length, 2);
});

Deno.test("queues an hour are limited for each client", { permissions }, () => {
  const test = admission({ newQueuesPerHourPerIp: 10 });
  const create = (client: string | null) =>
    Array.from({ length: 15 }, () => test.admission.mayCreate(client));
  assertEquals(create("a").filter((may) => may).length, 10);
  assertEquals(test.metrics.refusals("new_queue_rate"), 5);
  assertEquals(create("b").filter((may) => may).length, 10);
  assertEquals(create(null).filter((may) => may).length, 15);
  test.clock.now = 6 * 60_000 + 1;
  assertEquals(create("a").filter((may) => may).length, 1);
});

Deno.test("0 is no limit, and a limit that is changed counts at once", { permissions }, () => {
  const test = admission({
    connectionsPerIp: 0,
    handshakesPerIp: 0,
    handshakesPerSecondPerIp: 0,
    newQueuesPerHourPerIp: 0,
  });
  assertEquals(admitMany(test.admission, "a", 900).length, 900);
  for (let i = 0; i < 20_000; i++) assert(test.admission.mayCreate("a"));
  test.setLimits({ connections: 900 });
  assertEquals(admitMany(test.admission, "b", 1).length, 0);
});

Deno.test("memory is short above its limit, or near the end of the heap", { permissions }, () => {
  const use = { rss: 100, heapUsed: 10, heapLimit: 1000 };
  assertEquals([99, 100, 101, 0].map((limit) => isMemoryShort(use, limit)), [true, false, false, false]);
  assert(isMemoryShort({ ...use, heapUsed: 851 }, 0));
});

Deno.test("handshakes at a time of one client leave room for the others'", { permissions }, () => {
  const test = admission({ handshakes: 10, handshakesPerIp: 3 });
  const closed: number[] = [];
  let opened = 0;
  const open = (address = "10.0.0.1") => {
    const number = opened++;
    return test.admission.admit(address, () => closed.push(number));
  };
  const [first, second, third] = [open(), open(), open()];
  assertEquals(closed, []);
  // Who has said something is not ended by those who come after.
  first!.spoke();
  open();
  open();
  assertEquals([closed, test.metrics.refusals("handshakes_per_ip")], [[1, 2], 2]);
  second!.left();
  third!.left();
  assertEquals(test.admission.handshakes, 3);
  assert(open("10.0.0.2") !== null);
  first!.established();
  open();
  assertEquals(closed, [1, 2]);
  first!.left();
  test.setLimits({ handshakesPerIp: 0 });
  open();
  assertEquals(closed, [1, 2]);
});

Deno.test(
  "when all of a client's handshakes are being worked on, its next one is refused",
  { permissions },
  () => {
    const test = admission({ handshakesPerIp: 2 });
    for (const one of admitMany(test.admission, "10.0.0.1", 2)) one.spoke();
    assertEquals(test.admission.admit("10.0.0.1", () => assert(false)), null);
    assertEquals(test.metrics.refusals("handshakes_per_ip"), 1);
  },
);
