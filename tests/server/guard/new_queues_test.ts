import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  isNetwork,
  type NewQueueAccess,
  newQueueAccessOf,
  newQueueSettings,
} from "../../../server/config/new_queue_access.ts";
import { defaultConfig } from "../../../server/config/config.ts";
import { NewQueues } from "../../../server/guard/new_queues.ts";

const permissions = "none";

Deno.test("a rule that cannot be is refused without the password, and the one before stays", {
  permissions,
}, () => {
  const queues = new NewQueues({ password: "p" });
  const cases: readonly (readonly [NewQueueAccess, string])[] = [
    [{}, "Cannot let nobody create queues"],
    [{ addresses: [] }, "Cannot let nobody create queues"],
    [{ password: "" }, "1 to 256 printable ASCII characters"],
    [{ password: "se cret" }, "1 to 256 printable ASCII characters"],
    [{ password: "s\u00e9cret" }, "1 to 256 printable ASCII characters"],
    [{ password: "secret".repeat(43) }, "1 to 256 printable ASCII characters"],
    [{ password: "secret", addresses: ["10.0.0.0/33"] }, '"10.0.0.0/33" for new queues'],
  ];
  for (const [access, message] of cases) {
    for (const act of [() => queues.set(access), () => new NewQueues(access)]) {
      const error = assertThrows(act, RangeError, message);
      assert(!/se cret|s\u00e9cret|secret/.test(error.message), error.message);
    }
  }
  assertEquals(queues.password, "p");
  assert(queues.mayCreate("p", null) && !queues.mayCreate(null, "10.0.0.1"));
});

Deno.test("an address is IPv4 or IPv6, with or without bits, and IPv4 is not written as IPv6", {
  permissions,
}, () => {
  const right = ["0.0.0.0/0", "10.1.2.3", "10.1.2.3/32", "::/0", "::1", "fe80::/10", "2001:db8::1/128"];
  assertEquals(right.filter((text) => !isNetwork(text)), []);
  const wrong = [
    "",
    "/8",
    "10.0.0",
    "010.0.0.1",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/8/8",
    "::/129",
    "::/-1",
  ];
  wrong.push(
    "localhost",
    "fe80::1%eth0",
    "::ffff:10.0.0.1",
    "::FFFF:10.0.0.0/104",
    "::ffff:a00:1",
    "[::1]",
    "*",
  );
  assertEquals(wrong.filter(isNetwork), []);
});

Deno.test("without a rule anybody may, wherever they come from", { permissions }, () => {
  const queues = new NewQueues();
  assert(queues.mayCreate(null, null) && queues.mayCreate("x", "10.0.0.1"));
  queues.set({ addresses: ["::/0"] });
  assert(queues.mayCreate(null, "2001:db8::1") && !queues.mayCreate(null, "10.0.0.1"));
  assert(!queues.mayCreate("x", null) && !queues.mayCreate(null, ""));
  // Whichever socket an IPv4 client has come by.
  assert(!queues.mayCreate(null, "::ffff:10.0.0.1") && !queues.mayCreate(null, "::FFFF:10.0.0.1"));
});

Deno.test("the ini says a rule as it was", { permissions }, () => {
  const config = defaultConfig({ configDir: "/c", logDir: "/l" });
  assertEquals(newQueueAccessOf(config), "anyone");
  for (
    const access of [
      "anyone",
      { password: "p", addresses: [] },
      { password: "p", addresses: ["::1"] },
      { addresses: ["10.0.0.0/8"] },
    ] as const
  ) assertEquals(newQueueAccessOf({ ...config, ...newQueueSettings(access) }), access);
});
