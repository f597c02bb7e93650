import { assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url);

/** The files of ours that each file imports, all as paths from the root. */
const imports = new Map<string, readonly string[]>();
const folders = ["protocol", "client", "server", "agent", "cli", "examples", "bench", "deploy", "tests"];
for (const folder of folders) await read(folder);
imports.set("mod.ts", await importsOf("mod.ts"));

async function read(folder: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${folder}/`, root))) {
    const path = `${folder}/${name}`;
    if (isDirectory) await read(path);
    else if (name.endsWith(".ts")) imports.set(path, await importsOf(path));
  }
}

async function importsOf(path: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(path, root));
  // `from "…"`, `import "…"`, `import("…")`
  const specifiers = text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g);
  return [...specifiers].map(([, specifier]) =>
    new URL(specifier!, new URL(path, root)).href.slice(root.href.length)
  );
}

/** What the files of a layer may import beside those of the same layer. */
const layers: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  cli: [],
  client: ["protocol/mod.ts", "cli/", "deno.json"],
  server: ["protocol/mod.ts", "cli/", "deno.json"],
  agent: ["client/mod.ts", "protocol/mod.ts", "cli/", "deno.json"],
};

for (const [layer, others] of Object.entries(layers)) {
  Deno.test(`${layer} imports nothing of ours but ${["itself", ...others].join(", ")}`, () => {
    const allowed = [`${layer}/`, ...others];
    const wrong: string[] = [];
    for (const [file, targets] of imports) {
      if (!file.startsWith(`${layer}/`)) continue;
      for (const target of targets) {
        if (!allowed.some((start) => target.startsWith(start))) wrong.push(`${file} imports ${target}`);
      }
    }
    assertEquals(wrong, []);
  });
}

/** What tests the insides of protocol, or makes what protocol refuses. */
const insiders = [
  "tests/protocol/",
  "tests/support/openssl.ts",
  "tests/support/rsa_private.ts",
  "tests/support/unchecked_key.ts",
];

Deno.test("nothing outside of protocol imports past its mod.ts", () => {
  const wrong: string[] = [];
  for (const [file, targets] of imports) {
    if (["protocol/", ...insiders].some((start) => file.startsWith(start))) continue;
    for (const target of targets) {
      if (target.startsWith("protocol/") && target !== "protocol/mod.ts") {
        wrong.push(`${file} imports ${target}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("libraries reach nothing that only executables need", () => {
  const faces = ["mod.ts", "client/mod.ts", "server/mod.ts", "agent/mod.ts"];
  faces.push("agent/store/sqlite.ts", "agent/store/indexeddb.ts");
  const reached = new Set(faces);
  for (const file of reached) for (const target of imports.get(file) ?? []) reached.add(target);
  const executables = [...reached].filter((file) =>
    /^cli\/(?!(counted|file_kind|os_error|plain_host|regular_file)\.ts$)|^deno\.json$|\/main\.ts$/.test(file)
  );
  assertEquals(executables, []);
});

Deno.test("the imports are found", () => {
  // If they were not, nothing above would fail.
  assertEquals(imports.get("client/mod.ts")?.toSorted(), [
    "client/connection.ts",
    "client/options.ts",
    "client/queue.ts",
    "client/smp_client.ts",
    "client/transport.ts",
  ]);
  assertEquals(new Set(imports.get("mod.ts")), new Set(["client/mod.ts", "protocol/mod.ts"]));
  const used = new Set([...imports.values()].flat());
  assertEquals([...used].filter((path) => path.endsWith(".ts") && !imports.has(path)), []);
});
