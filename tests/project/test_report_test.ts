import { assert, assertEquals } from "@std/assert";
import { temporaryFolder } from "../support/server_process.ts";
import { isHit, parseReport } from "../support/test_report.ts";

const files = {
  "a_test.ts": `
    Deno.test('passes: <&"ü\\'> > x', () => {});
    Deno.test.ignore("needs what is not there (skipped: no 'x')", () => {});
    Deno.test("steps", async (t) => {
      await t.step("one", async (t) => void await t.step("two", () => {}));
      await t.step({ name: "three", ignore: true, fn: () => {} });
    });
    Deno.test("fails", () => { throw new Error("<skipped/>"); });`,
  "b_test.ts": `
    Deno.test("is cancelled", () => {
      setTimeout(() => { throw new Error("nobody catches this"); }, 0);
      return new Promise((resolve) => setTimeout(resolve, 60_000));
    });`,
};

Deno.test("what passed, failed and was skipped is read from Deno's report", async () => {
  await using folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder.path}/${name}`, text);
  const args = [
    "test",
    "--no-check",
    "--no-lock",
    "--no-config",
    "--parallel",
    "--junit-path=report.xml",
    ".",
  ];
  await new Deno.Command(Deno.execPath(), { args, cwd: folder.path, stdin: "null" }).output();
  const { passed, failed, skipped } = parseReport(await Deno.readTextFile(`${folder.path}/report.xml`));
  assertEquals(passed, 2);
  assertEquals(failed.toSorted(), ["fails (./a_test.ts)", "is cancelled (./b_test.ts)"]);
  assertEquals(skipped.toSorted(), ["needs what is not there (skipped: no 'x')", "steps > three"]);
});

Deno.test("a filter is a part of a name or a regular expression, as for deno test", () => {
  const name = "ACK removes it (skipped: no nats-server)";
  for (const filter of ["", "removes", "(skipped: no", "/^ACK .*it/", "/i(t|x) /"]) {
    assert(isHit(name, filter), filter);
  }
  for (const filter of ["ack", "^ACK", "/removes$/", "/(skip/", "/ack"]) assert(!isHit(name, filter), filter);
});
