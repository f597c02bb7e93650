import { assertEquals } from "@std/assert";
import { plainHost } from "../../cli/plain_host.ts";

Deno.test("a host to listen on has one form, with brackets or without", { permissions: "none" }, () => {
  const cases = {
    "::": "::",
    "[::]": "::",
    "0:0::0": "::",
    "[2001:DB8::0001]": "2001:db8::1",
    "fe80::1%eth0": "fe80::1%eth0",
    "[fe80::1%eth0]": "fe80::1%eth0",
    "127.0.0.1": "127.0.0.1",
    "localhost": "localhost",
    "[localhost]": "[localhost]",
    "a:b": "a:b",
    "::1]/x@[": "::1]/x@[",
    "::1/": "::1/",
    "": "",
  };
  for (const [text, host] of Object.entries(cases)) assertEquals(plainHost(text), host);
});
