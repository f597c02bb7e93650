import { assert } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const root = new URL("../../", import.meta.url);
/** What programs outside this repository can import by name. */
const names = new Set([
  ...Object.keys(config.exports).map((path) => `${config.name}${path.slice(1)}`),
  ...Object.keys(config.imports),
]);

async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) yield* modulesIn(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

// Whether what they import is there is looked at with the programs of the pages (tests/project/docs_test.ts).
Deno.test("examples import what is exported, and can be copied out of the repository", async () => {
  const modules = await Array.fromAsync(modulesIn("examples/"));
  assert(modules.includes("examples/hello.ts") && modules.includes("examples/web-chat/page/main.ts"));
  for (const module of modules) {
    const source = await Deno.readTextFile(new URL(module, root));
    for (const [, specifier] of source.matchAll(/^(?:import|export|\}) (?:.*\bfrom |from )?"([^"]+)"/gm)) {
      const isOwn = /^\.\.?\//.test(specifier!) &&
        new URL(specifier!, new URL(module, root)).href.startsWith(`${root}examples/`);
      const isNamed = specifier!.startsWith("node:") || names.has(specifier!);
      assert(isOwn || isNamed, `${module} imports ${specifier}`);
    }
  }
});
