import { assert, assertEquals, assertThrows } from "@std/assert";
import { formatServer, isLoopback, parseEngineAddress } from "../../../server/cluster/engine_address.ts";
import { isOlder, refusalOf } from "../../../server/cluster/server_info.ts";

const test = (name: string, fn: () => void) => Deno.test({ name, permissions: "none", fn });

test("addresses of NATS servers are parsed, with and without port, and a scheme before each or the first", () => {
  assertEquals(parseEngineAddress("nats://a.example:5000, nats://[::1]:6000,b"), {
    isEncrypted: false,
    servers: [
      { hostname: "a.example", port: 5000 },
      { hostname: "::1", port: 6000 },
      { hostname: "b", port: 4222 },
    ],
  });
  assertEquals(parseEngineAddress("tls://a").isEncrypted, true);
  assertEquals(formatServer({ hostname: "::1", port: 6000 }), "[::1]:6000");
  assertEquals(formatServer({ hostname: "a", port: 1 }), "a:1");
});

test("what is no address of NATS servers is refused with the reason", () => {
  const refused: [string, string][] = [
    ["a:4222", "it is nats://"],
    ["http://a", "http:// is neither"],
    ["nats://a,tls://b", "are mixed"],
    ["nats://user:secret@a", "credentials do not belong"],
    ["nats://", "is not host:port"],
    ["nats://a,,b", "is not host:port"],
    ["nats://a:0", "0 is not a port"],
    ["nats://a:65536", "65536 is not a port"],
    ["nats://a:4222/x", "is not host:port"],
    ["nats://::1", "is not host:port"],
    [`nats://${new Array(17).fill("a").join()}`, "more than 16"],
  ];
  for (const [text, why] of refused) {
    const { message } = assertThrows(() => parseEngineAddress(text), RangeError);
    assert(message.includes(why), message);
    assert(!message.includes("secret"));
  }
});

test("only addresses of this machine are loopback addresses", () => {
  for (const hostname of ["localhost", "::1", "127.0.0.1", "127.1.2.3"]) {
    assert(isLoopback({ hostname, port: 1 }));
  }
  for (const hostname of ["127.0.0.1.example", "10.0.0.1", "::2", "localhost.example"]) {
    assert(!isLoopback({ hostname, port: 1 }));
  }
});

test("versions before 2.10.23, and what is no version, are older", () => {
  for (const version of ["2.10.22", "2.9.99", "1.99.99", "2.10", "", "two", "2.10.22-x"]) {
    assert(isOlder(version));
  }
  for (const version of ["2.10.23", "2.10.27", "v2.11.0", "2.12.1-preview.1", "3.0.0"]) {
    assert(!isOlder(version));
  }
});

test("servers that are too old or without JetStream are refused with what to do", () => {
  assertEquals(refusalOf({ version: "2.10.27", jetstream: true }), null);
  for (const version of ["2.10.22", 2, undefined]) {
    const refusal = refusalOf({ version, jetstream: true });
    assertEquals(refusal?.code, "VERSION");
    assert(refusal!.message.includes("install 2.10.23 or later"));
  }
  for (const jetstream of [undefined, false, "true"]) {
    const refusal = refusalOf({ version: "2.10.27", jetstream });
    assertEquals(refusal?.code, "NO_JETSTREAM");
    assert(refusal!.message.includes("sync_interval: always"));
  }
});
