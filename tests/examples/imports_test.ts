import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { temporaryFolder } from "../support/server_process.ts";
import { soon } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);
/** What programs outside this repository can import of it, by name. */
const exported = Object.entries(config.exports).map(([path, module]) => [
  `${config.name}${path.slice(1)}`,
  new URL(module, root).href,
]);
const { "@std/assert": _, ...dependencies } = config.imports;
const imports = {
  ...Object.fromEntries(exported),
  ...dependencies,
  "@std/assert": new URL("std/assert/mod.ts", root).href,
};

async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) yield* modulesIn(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

Deno.test("examples import what is exported, and can be copied out of the repository", async () => {
  await using folder = await temporaryFolder();
  const modules = await Array.fromAsync(modulesIn("examples/"));
  assert(modules.includes("examples/hello.ts") && modules.includes("examples/web-chat/page/main.ts"));
  for (const module of modules) {
    const source = await Deno.readTextFile(new URL(module, root));
    for (const [, specifier] of source.matchAll(/^(?:import|export|\}) (?:.*\bfrom |from )?"([^"]+)"/gm)) {
      const isOwn = /^\.\.?\//.test(specifier!) &&
        new URL(specifier!, new URL(module, root)).href.startsWith(`${root}examples/`);
      const isNamed = specifier!.startsWith("node:") || Object.hasOwn(imports, specifier!);
      assert(isOwn || isNamed, `${module} imports ${specifier}`);
    }
    const copy = `${folder.path}/${module}`;
    await Deno.mkdir(copy.slice(0, copy.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(copy, source);
  }
  const { compilerOptions } = config;
  await Deno.writeTextFile(
    `${folder.path}/deno.json`,
    JSON.stringify({ imports, compilerOptions, lock: false }),
  );
  const { code, stderr } = await soon(
    new Deno.Command(Deno.execPath(), {
      args: ["check", "--quiet", ...modules],
      cwd: folder.path,
      env: { NO_COLOR: "1" },
    }).output(),
  );
  assertEquals(code, 0, new TextDecoder().decode(stderr));
});
