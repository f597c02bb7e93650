/** Breaks a copy of the code in every listed way and runs the tests that must notice it: `deno task mutate --help`. */
// deno-lint-ignore-file no-console
import { all, misfitsOf } from "./all.ts";
import type { Mutation } from "./mutation.ts";

const help = `deno task mutate [--only NAME,NAME]

Makes one change at a time in a temporary copy of the files that git knows, and runs tests that must fail then.
Ends with 1 when a mutation survives, with 2 when the list does not fit the code.
`;

/** Milliseconds after which a test counts as failed: only what never ends takes so long, on any machine. */
const patience = 900_000;

const root = new URL("../../", import.meta.url).pathname;
const model = ["tests/agent/model/main.ts", "--runs", "120", "--patience", "20", "--failures", "1"];
/** With it the model takes two thirds of the time. */
const quickly = "--preload=tests/support/prefer_openssl.ts";

async function main(args: readonly string[]): Promise<number> {
  if (args.length > 0 && args[0] !== "--only") {
    console.log(help);
    return args[0] === "--help" || args[0] === "-h" ? 0 : 2;
  }
  const names = args[1]?.split(",");
  const unknown = names?.filter((name) => !all.some((mutation) => mutation.name === name)) ?? [];
  const mutations = all.filter(({ name }) => names?.includes(name) ?? true);
  const misfits = [...unknown.map((name) => `there is no mutation ${name}`), ...await misfitsOf(all)];
  if (misfits.length > 0) {
    for (const misfit of misfits) console.error(misfit);
    return 2;
  }
  const folder = await Deno.makeTempDir({ prefix: "mutations_" });
  try {
    await copyTo(folder);
    const failing = await killerOf(folder, [...new Set(mutations.flatMap(({ tests }) => tests))]);
    if (failing !== null) {
      console.error(`${failing} fails without any mutation`);
      return 2;
    }
    return await mutateAll(folder, mutations);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function copyTo(folder: string): Promise<void> {
  const { stdout } = await new Deno.Command("git", {
    args: ["ls-files", "-co", "--exclude-standard"],
    cwd: root,
  })
    .output();
  for (const file of new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "")) {
    await Deno.mkdir(`${folder}/${file.split("/").slice(0, -1).join("/")}`, { recursive: true });
    // A file that was removed and not committed is in the list too.
    await Deno.copyFile(root + file, `${folder}/${file}`).catch(() => {});
  }
}

async function mutateAll(folder: string, mutations: readonly Mutation[]): Promise<number> {
  let survived = 0;
  for (const { name, what, file, from, to, tests } of mutations) {
    const path = `${folder}/${file}`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace(from, () => to));
    const killer = await killerOf(folder, tests);
    await Deno.writeTextFile(path, text);
    if (killer === null) survived++;
    const result = killer === null ? "SURVIVED" : `killed by ${killer}`;
    console.log(`${name.padEnd(28)} ${result.padEnd(50)} ${what}`);
  }
  console.log(`${mutations.length} mutations, ${survived} survived`);
  return survived > 0 ? 1 : 0;
}

/** The first of the tests that fails. */
async function killerOf(cwd: string, tests: readonly string[]): Promise<string | null> {
  for (const test of tests) {
    const args = test === "model"
      ? ["run", "--allow-all", "--no-check", quickly, ...model]
      : ["test", "--quiet", "--allow-all", "--no-check", test];
    const signal = AbortSignal.timeout(patience);
    const { success } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal,
    }).output();
    if (!success) return test;
  }
  return null;
}

Deno.exit(await main(Deno.args));
