// deno-lint-ignore-file no-console
/** Runs a program of the package, or says what it needs. */
export async function run(name, load) {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 22 || major === 22 && minor < 13) {
    console.error(`${name} needs Node 22.13 or later, and this is ${process.versions.node}`);
    process.exitCode = 1;
    return;
  }
  // Node 22 calls its SQLite experimental at every start.
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (warning.name !== "ExperimentalWarning") console.error(String(warning));
  });
  await load();
}

/** Says that a program, or a part of it, runs on Deno alone. */
export function needsDeno(what) {
  console.error(`${what} runs on Deno, not on Node. Deno comes from npm too, and runs it from a checkout:
  npx deno@2.9.6 task ${what.split(" ")[0] === "smp-server" ? "start" : "agent start"}
README.md has the command that installs it.`);
  process.exitCode = 1;
}
