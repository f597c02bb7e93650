import { assert, assertEquals } from "@std/assert";
import { serverExtensions } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { run } from "../support/server_process.ts";
import { startServer } from "../support/server.ts";

const script = "client/main.ts";

/** The answers that a server has given to commands, in the order of names. */
function answers(server: SmpServer): readonly string[] {
  return [...server.metrics.commands.keys()].toSorted();
}

/** Less than the processor can do, where it is not about how fast it goes. */
const slowly = ["--rate", "50"];

async function load(server: SmpServer, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const all = ["load", server.address, "--pairs", "3", "--connections", "2", "--seconds", "1", ...args];
  const { code, stdout, stderr } = await run(all, { script, folder: "/tmp" });
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

Deno.test("smp load uses no extension unless it is told to", async () => {
  await using server = await startServer();
  const { extensions, messages, bytes } = await load(server, ...slowly);
  assertEquals([extensions, bytes], [[], 3600]);
  assert(Number(messages) > 0);
  assert(answers(server).includes("ACK OK"));
  assert(answers(server).every((name) => /^(NEW|KEY|SUB|SEND|ACK|DEL) /.test(name)), `${answers(server)}`);
});

Deno.test("smp load uses each extension that it is told to, and leaves nothing", async () => {
  await using server = await startServer();
  const args = ["--open", "--window", "8", "--block-size", "large", "--rekey", ...slowly];
  const { extensions, messages, bytes } = await load(server, ...args);
  assertEquals([extensions, bytes], [serverExtensions, 65_040]);
  assert(Number(messages) > 0);
  const given = ["ACKM OK", "DEL OK", "KEY OK", "NEW IDS", "OPEN OK", "REKEY REKEY", "SEND OK", "SUBN OK"];
  assertEquals(answers(server), given);
  assertEquals(server.metrics.commands.get("REKEY REKEY"), 4);
  assertEquals([server.gauges().queues, server.gauges().messages], [0, 0]);
});

Deno.test("smp load signs what it sends through queues that it has not opened, also with a window", async () => {
  await using server = await startServer();
  await load(server, "--window", "2", ...slowly);
  assert(answers(server).includes("ACKM OK"));
  assert(!answers(server).some((name) => name.startsWith("OPEN") || name.includes("ERR")));
});

Deno.test("smp load on opened queues alone acknowledges as 0.3 does", async () => {
  await using server = await startServer();
  await load(server, "--open", ...slowly);
  assertEquals(server.metrics.commands.get("OPEN OK"), 6);
  assert(answers(server).includes("ACK OK"));
  assert(!answers(server).some((name) => name.includes("ERR")));
});

Deno.test("smp load makes no queue on a server that does not list what an option needs", async () => {
  await using server = await startServer({ extensions: ["open1"] });
  const options = [
    ["window1", "--window", "4"],
    ["blocks1", "--block-size", "8192"],
    ["rekey1", "--rekey"],
  ] as const;
  for (const [extension, option, ...value] of options) {
    const args = ["load", server.address, "--open", option, ...value];
    const { code, stdout, stderr } = await run(args, { script, folder: "/tmp" });
    const message = `the server does not list ${extension}, which ${option} needs\n`;
    assertEquals([code, stdout, stderr], [1, "", message]);
  }
  assertEquals(answers(server), []);
});
