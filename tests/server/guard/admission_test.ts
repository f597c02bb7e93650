import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Admission, type Admitted } from "../../../server/guard/admission.ts";
import { clientNetwork, countedNetworks } from "../../../server/guard/client_network.ts";
import { checkLimits, type Limits } from "../../../server/config/limits.ts";
import { ConnectionsByNetwork, type OpenConnection } from "../../../server/guard/connections_by_network.ts";
import { Metrics } from "../../../server/observe/metrics.ts";

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

/** An admission with some limits, its metrics and its clock. */
function admission(given: Partial<Limits>) {
  let limits = checkLimits(given);
  const metrics = new Metrics();
  const clock = { now: 0 };
  return {
    setLimits: (changed: Partial<Limits>) => limits = { ...limits, ...changed },
    metrics,
    clock,
    admission: new Admission(() => limits, metrics, { now: () => clock.now }),
  };
}

function admitMany(
  to: Admission,
  address: string | undefined,
  count: number,
  state: "silent" | "heard" = "silent",
): Admitted[] {
  return Array.from({ length: count }, () => {
    const admitted = to.admit(address);
    if (state === "heard") admitted?.spoke();
    return admitted;
  }).filter((one) => one !== null);
}

Deno.test("connections are limited in all, and places come back", { permissions }, () => {
  const test = admission({ connections: 3 });
  const admitted = admitMany(test.admission, undefined, 5, "heard");
  assertEquals([admitted.length, test.metrics.refusals("connections")], [3, 2]);
  for (const one of admitted.slice(1)) one.established();
  for (const one of admitted) one.left();
  assertEquals(test.admission.handshakes, 0);
  assertEquals(admitMany(test.admission, undefined, 5, "heard").length, 3);
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
  const [first, second] = admitMany(test.admission, "a", 5, "heard");
  assertEquals(test.metrics.refusals("handshakes"), 3);
  first!.established();
  assertEquals(admitMany(test.admission, "a", 2, "heard").length, 1);
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
  assertEquals(admitMany(test.admission, "a", 900, "heard").length, 900);
  for (let i = 0; i < 20_000; i++) assert(test.admission.mayCreate("a"));
  test.setLimits({ connections: 900 });
  assertEquals(admitMany(test.admission, "b", 1).length, 0);
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

Deno.test("an IPv6 network counts in its /56 and /48 too", { permissions }, () => {
  const networks = (address: string) => countedNetworks(clientNetwork(address)).map(({ network }) => network);
  assertEquals(networks("2001:db8:0:1234::1"), [
    "2001:db8:0:1234::/64",
    "2001:db8:0:1200::/56",
    "2001:db8:0::/48",
  ]);
  assertEquals(networks("2001:db8:0:ff::1").slice(1), networks("2001:db8::1").slice(1));
  for (const address of ["10.0.0.1", "::ffff:10.0.0.1", "", "x", ":", "1:2:3:4:5:6:7:8:9:10", "g:h:i:j::"]) {
    assert(networks(address).length === 1 || address.startsWith("1:"), address);
  }
});

/** The addresses that a flood comes from: one, four, and very many of one /56 and of one /48. */
const sources: Readonly<Record<string, (i: number) => string>> = {
  "one address": () => "10.0.0.1",
  "four addresses": (i) => `10.0.0.${i % 4}`,
  "the /64s of a /56": (i) => `2001:db8:1:${(i % 256).toString(16)}::${i}`,
  "the /64s of a /48": (i) => `2001:db8:1:${(i * 257 % 65536).toString(16)}::${i}`,
};
/** How many addresses' worth of a limit each of them can have. */
const shares: Readonly<Record<string, number>> = {
  "one address": 1,
  "four addresses": 4,
  "the /64s of a /56": 2,
  "the /64s of a /48": 4,
};

for (const [from, address] of Object.entries(sources)) {
  const share = shares[from]!;

  for (
    const [name, limits] of [
      ["handshakes", { handshakes: 40 }],
      ["connections", { connections: 40 }],
      ["both with limits by address", { connections: 80, handshakes: 40, handshakesPerIp: 10 }],
    ] as const
  ) {
    Deno.test(`silent connections from ${from} leave room for others: ${name}`, { permissions }, () => {
      const test = admission({ handshakesPerSecondPerIp: 0, ...limits });
      let open = 0;
      const ended: string[] = [];
      const connect = (address: string) => {
        open++;
        const admitted = test.admission.admit(address, () => {
          open--;
          ended.push(address);
        });
        assert(admitted !== null, `${address} is refused`);
      };
      for (let i = 0; i < 500; i++) connect(address(i));
      const most = Math.min(40, "handshakesPerIp" in limits ? 10 * share : Infinity);
      assertEquals([open, test.admission.handshakes], [most, most]);
      ended.length = 0;
      const honest = ["192.0.2.1", "2001:db8:2::1"];
      for (const one of honest) connect(one);
      // It is the flood that makes room, however it goes on, for as long as others are fewer from where they are.
      for (let i = 500; i < 1000; i++) connect(address(i));
      for (const one of honest) assert(!ended.includes(one));
      assertEquals(test.admission.handshakes, Math.min(most + honest.length, 40));
    });
  }

  Deno.test(
    `established connections from ${from} are limited for all of it together`,
    { permissions },
    () => {
      const test = admission({ connectionsPerIp: 10, handshakesPerSecondPerIp: 0 });
      let count = 0;
      for (let i = 0; i < 500; i++) {
        const admitted = test.admission.admit(address(i));
        admitted?.established();
        if (admitted !== null) count++;
      }
      assertEquals([count, test.metrics.refusals("connections_per_ip")], [10 * share, 500 - 10 * share]);
      assert(test.admission.admit("192.0.2.1") !== null);
    },
  );

  Deno.test(`handshakes a second from ${from} are limited for all of it together`, { permissions }, () => {
    const test = admission({ handshakesPerSecondPerIp: 1, connectionsPerIp: 0, handshakesPerIp: 0 });
    let count = 0;
    for (let i = 0; i < 500; i++) if (test.admission.admit(address(i)) !== null) count++;
    assertEquals([count, test.metrics.refusals("handshake_rate")], [10 * share, 500 - 10 * share]);
    assert(test.admission.admit("192.0.2.1") !== null);
  });

  Deno.test(`queues an hour from ${from} are limited for all of it together`, { permissions }, () => {
    const test = admission({ newQueuesPerHourPerIp: 10 });
    let count = 0;
    for (let i = 0; i < 500; i++) if (test.admission.mayCreate(clientNetwork(address(i)))) count++;
    assertEquals(count, 10 * share);
    assert(test.admission.mayCreate("192.0.2.1"));
  });
}

Deno.test("neighbours of a /64 that is refused keep their share of the /56 and /48", { permissions }, () => {
  const test = admission({ newQueuesPerHourPerIp: 10 });
  for (let i = 0; i < 500; i++) test.admission.mayCreate("2001:db8:1:1::/64");
  const created = Array.from({ length: 15 }, () => test.admission.mayCreate("2001:db8:1:2::/64"));
  assertEquals(created.filter((may) => may).length, 10);
});

Deno.test("when everybody has one silent connection, the oldest makes room", { permissions }, () => {
  const test = admission({ handshakes: 3 });
  const closed: string[] = [];
  for (const address of ["a", "b", "c", "d", "e"]) test.admission.admit(address, () => closed.push(address));
  assertEquals(closed, ["a", "b"]);
  test.admission.admit("e", () => closed.push("e again"));
  test.admission.admit("f", () => closed.push("f"));
  assertEquals(closed, ["a", "b", "c", "e"]);
});

Deno.test("a place that was made is there at once, and nobody leaves twice", { permissions }, () => {
  const test = admission({ connections: 1 });
  const first = test.admission.admit("a");
  const second = test.admission.admit("b");
  first!.left();
  first!.established();
  first!.spoke();
  assertEquals(test.admission.handshakes, 1);
  second!.established();
  assertEquals([test.admission.handshakes, test.admission.admit("c")], [0, null]);
  second!.left();
  second!.left();
  assert(test.admission.admit("c") !== null);
});

/** Lets in established connections from `address` as long as there are places; tells where one is ended. */
function establish(to: Admission, address: string, { count, ended }: { count: number; ended: string[] }) {
  for (let i = 0; i < count; i++) to.admit(address, () => ended.push(address))?.established();
}

Deno.test("established connections of whoever has most make room for others", { permissions }, () => {
  const test = admission({ connections: 40, connectionsPerIp: 10, handshakesPerSecondPerIp: 0 });
  const ended: string[] = [];
  establish(test.admission, "192.0.2.1", { count: 4, ended });
  for (let i = 1; i <= 4; i++) establish(test.admission, `10.0.0.${i}`, { count: 10, ended });
  const honest = ["192.0.2.1", "192.0.2.2", "2001:db8:2::1", "203.0.113.1"];
  ended.length = 0;
  for (const one of honest) establish(test.admission, one, { count: 1, ended });
  assertEquals(new Set(ended), new Set(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]));
  // However the flood goes on, it is the flood that makes room.
  ended.length = 0;
  for (let i = 0; i < 100; i++) establish(test.admission, `10.0.0.${1 + i % 4}`, { count: 3, ended });
  for (const one of honest) assert(!ended.includes(one));
});

Deno.test(
  "who is alone and silent is not ended for those who come while others have many connections",
  { permissions },
  () => {
    const test = admission({ connections: 20, handshakesPerSecondPerIp: 0 });
    const ended: string[] = [];
    establish(test.admission, "10.0.0.1", { count: 20, ended });
    assert(test.admission.admit("192.0.2.1", () => ended.push("192.0.2.1")) !== null);
    establish(test.admission, "10.0.0.2", { count: 5, ended });
    assertEquals(ended, new Array(6).fill("10.0.0.1"));
  },
);

Deno.test("nobody can have many established connections of others ended", { permissions }, () => {
  const test = admission({ connections: 50, handshakesPerSecondPerIp: 0 });
  const ended: string[] = [];
  const comeAndGo = (count: number) => {
    for (let i = 0; i < count; i++) {
      establish(test.admission, "192.0.2.1", { count: 1, ended });
      const other = test.admission.admit("10.0.0.1");
      other?.established();
      other?.left();
    }
  };
  establish(test.admission, "192.0.2.1", { count: 50, ended });
  comeAndGo(100);
  assertEquals(ended.length, 10);
  test.clock.now = 5_000;
  comeAndGo(100);
  assertEquals(ended.length, 15);
});

Deno.test("counts of silent connections stay right, whatever comes and goes", { permissions }, () => {
  const step = fc.record({ address: fc.nat(6), act: fc.constantFrom("come", "speak", "leave") });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const silent = new ConnectionsByNetwork();
    // The oldest first.
    const model: OpenConnection[] = [];
    const widest = (one: OpenConnection) => one.networks.at(-1)!;
    const counts = () => {
      const counts = new Map<string, number>();
      for (const one of model) counts.set(widest(one), (counts.get(widest(one)) ?? 0) + 1);
      return counts;
    };
    for (const { address, act } of steps) {
      if (act === "come") {
        const one = { networks: [`${address}`, `${address % 3}/48`], end() {} };
        silent.add(one);
        model.push(one);
      } else {
        const one = act === "leave"
          ? silent.oldestOfMost()
          : model.find(({ networks }) => networks[0] === `${address}`);
        if (one === undefined) continue;
        silent.delete(one);
        silent.delete(one);
        model.splice(model.indexOf(one), 1);
      }
      assertEquals(silent.oldestOf(`${address}`), model.find(({ networks }) => networks[0] === `${address}`));
      const found = silent.oldestOfMost();
      assertEquals(found === undefined, model.length === 0);
      if (found === undefined) continue;
      assertEquals(counts().get(widest(found)), Math.max(...counts().values()));
      assertEquals(found, model.find((one) => widest(one) === widest(found)));
    }
  }));
});
