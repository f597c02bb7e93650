import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const config = new URL("../../deno.json", import.meta.url).pathname;

const leaks = {
  "a timer": "setTimeout(() => {}, 60_000);",
  "a socket": 'Deno.listen({ hostname: "127.0.0.1", port: 0 });',
};

for (const [what, code] of Object.entries(leaks)) {
  Deno.test(`the project's settings fail a test that leaks ${what}`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/leak_test.ts`, `Deno.test("leaks", () => { ${code} });`);
      const { code: exitCode, stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          "test",
          "--no-check",
          "--no-lock",
          "--allow-net=127.0.0.1",
          "--config",
          config,
          `${folder}/leak_test.ts`,
        ],
        env: { NO_COLOR: "1" },
      }).output();
      assert(exitCode !== 0);
      assertStringIncludes(new TextDecoder().decode(stdout), "Leaks detected");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("protocol, client, agent and its store for browsers touch neither Deno nor Node when they are imported", async () => {
  const root = new URL("../../", import.meta.url).pathname;
  const program = `delete globalThis.Deno; delete globalThis.process;
    const { SmpClient, parseAddress, preferOpenSsl } = await import("${root}mod.ts");
    const { Agent } = await import("${root}agent/mod.ts");
    const { IndexedDbStore } = await import("${root}agent/store/indexeddb.ts");
    console.log(typeof SmpClient, typeof Agent, typeof IndexedDbStore, parseAddress("localhost").host, preferOpenSsl());`;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--config", config, program],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [
    0,
    "function function function localhost WebCrypto\n",
  ]);
});

Deno.test("tests are ignored by requiring() alone, which says why", async () => {
  const found: string[] = [];
  const look = async (folder: URL): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory) await look(new URL(`${name}/`, folder));
      else if (name.endsWith(".ts")) {
        const text = await Deno.readTextFile(new URL(name, folder));
        if (/\bignore: |\.ignore\(|\.only\(|\bonly: true|SKIPPED/.test(text)) found.push(name);
      }
    }
  };
  await look(new URL("../", import.meta.url));
  // The test of the report ignores tests of its own; this file has the words.
  assertEquals(found.toSorted(), ["project_test.ts", "requires.ts", "test_report_test.ts"]);
});
