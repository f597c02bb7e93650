/**
 * The whole test suite: `deno task test`. Runs the groups of tests, which have different permissions or settings,
 * in parts, some beside others, whatever comes of each, and prints what a part says when it ends; the last lines say
 * what failed, what this machine could not run and why, and how many of each there were. Options are passed on to
 * `deno test`, `--filter TEXT` for instance; where files or folders are given, `tests/agent` for instance, no others are
 * run.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { readdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { openSslPaths } from "../protocol/mod.ts";
import { isHelpAsked } from "../cli/options.ts";
import { isHit, parseReport, type TestReport } from "./support/test_report.ts";

const help = `deno task test [FILE or FOLDER of tests/]... [OPTION of deno test]...

Runs the whole test suite, or what is named of it. The last lines say what failed, what was skipped and why.

  tests/agent tests/cli/options_test.ts   these alone
  --filter TEXT                           those alone whose name has TEXT, and what else "deno test" has`;

/** Tests with the same permissions and settings. Each file would load and compile all that it imports anew: they run as few modules. */
interface Group {
  readonly name: string;
  readonly args: readonly string[];
  /** Files, and folders in which to look for them. */
  readonly paths: readonly string[];
  readonly ignored?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A module that is imported before its files. */
  readonly first?: string;
  /** Into how many modules its files are dealt, each of which runs in a process of its own. @default 1 */
  readonly parts?: number;
}

const usual: readonly string[] = [
  "--allow-net=127.0.0.1,127.0.0.2,localhost,[::1],[::]",
  "--allow-read",
  "--allow-write",
  "--allow-run",
  "--allow-env=WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE,SMP_TEST_PARTITIONS,SMP_TEST_WORKERS,NATS_SERVER,HOME",
  `--allow-ffi=${openSslPaths.join(",")}`,
];

/** They have Unix sockets in folders that nobody knows before: folders and files. */
const sockets = [
  "tests/agent/admin",
  "tests/agent/cli/administer_test.ts",
  "tests/agent/stream/final_name_test.ts",
  "tests/cli/admin",
  "tests/server/admin",
  "tests/server/commands/administer_hostile_test.ts",
];
const cluster = ["tests/faults", "tests/server/cluster"];
const server = ["tests/server", "tests/hostile", "tests/operator", "tests/protocol"];

/**
 * The files that take longest, longest first: no two of them are to be dealt to one part while another has none. Of five of
 * the agent's, one for each part, the longest is where a part has most room.
 */
const longest = [
  "tests/interop/npm_package_test.ts",
  "tests/project/commands_test.ts",
  "tests/examples/terminal_chat_test.ts",
  "tests/interop/openssl_client_test.ts",
  "tests/client/cli_test.ts",
  "tests/interop/openssl_server_test.ts",
  "tests/hostile/flood_test.ts",
  "tests/hostile/reset_anywhere_test.ts",
  "tests/server/store/torn_files_test.ts",
  "tests/server/commands/commands_test.ts",
  "tests/project/docs_test.ts",
  "tests/project/tasks_test.ts",
  "tests/interop/openssl_agent_test.ts",
  "tests/server/workers/conversion_crash_test.ts",
  "tests/hostile/websocket_memory_test.ts",
  "tests/server/commands/signals_test.ts",
  "tests/server/commands/administer_test.ts",
  "tests/server/guard/refusal_time_openssl_test.ts",
  "tests/server/guard/refusal_time_test.ts",
  "tests/operator/restart_test.ts",
  "tests/agent/crash_steps_test.ts",
  "tests/agent/stream/faults_test.ts",
  "tests/agent/service/streams_test.ts",
  "tests/agent/crash_test.ts",
  "tests/agent/repair/model_test.ts",
  "tests/agent/cli/stream_test.ts",
  "tests/agent/session/unanswered_test.ts",
  "tests/agent/outage_test.ts",
  "tests/agent/cli/sessions_test.ts",
  "tests/agent/repair/doubt_test.ts",
  "tests/agent/repair/twice_test.ts",
  "tests/agent/cli/talk_test.ts",
  "tests/agent/repair/copies_test.ts",
  "tests/agent/cli/send_file_test.ts",
  "tests/agent/stream/stream_test.ts",
  "tests/agent/service/main_test.ts",
  "tests/agent/stream/file_test.ts",
  "tests/agent/repair/interrupted_test.ts",
  "tests/agent/cli/files_test.ts",
  "tests/agent/stream/crash_test.ts",
  "tests/agent/model_test.ts",
  "tests/agent/runtime/lost_ack_test.ts",
  "tests/agent/store/sqlite_test.ts",
  "tests/agent/session/moments_test.ts",
  "tests/agent/repair/restored_test.ts",
  "tests/agent/service/sessions_test.ts",
  "tests/agent/agent_test.ts",
  "tests/agent/store/indexeddb_test.ts",
  "tests/agent/session/routes_test.ts",
  "tests/agent/stream/hostile_test.ts",
  "tests/agent/backup_test.ts",
  "tests/agent/service/answers_test.ts",
  "tests/agent/store/store_test.ts",
  "tests/agent/hostile_peer_test.ts",
  "tests/agent/stream/full_disk_test.ts",
];

/**
 * In the order in which they are begun: what takes long comes first, that nothing long is left alone at the end, and
 * before all others what waits for most of its time.
 */
const groups: readonly Group[] = [
  { name: "the tests of clusters", args: usual, paths: cluster, parts: 2 },
  {
    name: "the tests with 2 workers",
    args: usual,
    paths: [
      "tests/client/commands_test.ts",
      "tests/client/window_test.ts",
      "tests/hostile/blocks_test.ts",
      "tests/hostile/flood_test.ts",
      "tests/hostile/opened_flood_test.ts",
      ...["descriptors", "full_disk", "restart", "secrets"].map((name) => `tests/operator/${name}_test.ts`),
      "tests/server/net/extensions_test.ts",
    ],
    env: { SMP_TEST_WORKERS: "2" },
  },
  { name: "the tests in a browser", args: ["--allow-all"], paths: ["tests/browser"], parts: 2 },
  {
    name: "the tests of the client, of examples and with other programs",
    args: usual,
    paths: ["tests"],
    ignored: ["tests/agent", "tests/browser", "tests/project", ...sockets, ...cluster, ...server],
    // Clients without it are among the tests with 2 workers, and with 16 partitions.
    first: "tests/support/prefer_openssl.ts",
    parts: 3,
  },
  {
    name: "the tests of the server",
    args: usual,
    paths: server,
    ignored: [...cluster, ...sockets],
    parts: 5,
  },
  {
    name: "the tests of the agent",
    args: usual,
    paths: ["tests/agent"],
    ignored: sockets,
    first: "tests/support/prefer_openssl.ts",
    parts: 5,
  },
  { name: "the tests of the project", args: usual, paths: ["tests/project"], parts: 2 },
  {
    name: "the tests with 16 partitions",
    args: usual,
    paths: ["tests/server/broker", "tests/client/commands_test.ts", "tests/hostile/blocks_test.ts"],
    env: { SMP_TEST_PARTITIONS: "16" },
  },
  {
    name: "the tests of administration",
    args: usual.map((arg) => arg.startsWith("--allow-net") ? "--allow-net" : arg),
    paths: sockets,
  },
];

if (isHelpAsked(Deno.args)) {
  console.log(help);
  Deno.exit(0);
}

/** What is run, where that is not everything, and what `deno test` is told. */
const isPath = (arg: string) => arg.startsWith("tests/");
const chosen = Deno.args.filter(isPath).map((path) => path.replace(/\/$/, ""));
// Behind `--` is what `deno test` would hand on to the tests, its own module too: then it would look for others.
const options = Deno.args.filter((arg) => !isPath(arg) && arg !== "--");
if (options[0] !== undefined && !options[0].startsWith("-")) refuse(options[0]);
/** Of the names of tests, what `deno test` is to look for. */
const { filter } = parseArgs({
  args: [...options],
  options: { filter: { type: "string" } },
  strict: false,
}).values;

function refuse(path: string): never {
  console.error(`there are no tests in ${path}; --help says how they are named`);
  Deno.exit(2);
}

const isIn = (file: string) => (path: string) => file === path || file.startsWith(`${path}/`);

/** Milliseconds after which a part is ended: a test in it waits for what never comes. */
const longestPart = 30 * 60_000;

/** What one process runs. */
interface Part extends Pick<Group, "name" | "args" | "env"> {
  readonly module: string;
}

/** The files of a group that are to be run. */
async function filesOf({ paths, ignored = [] }: Group): Promise<string[]> {
  const found = await Promise.all(paths.map(async (path) => (
    path.endsWith(".ts")
      ? [path]
      : (await readdir(path, { recursive: true })).map((file) => `${path}/${file}`)
  )));
  return found.flat().sort().filter((file) =>
    file.endsWith("_test.ts") && !ignored.some(isIn(file)) &&
    (chosen.length === 0 || chosen.some(isIn(file)))
  );
}

/** Writes modules that import the files of a group. */
async function partsOf(
  { name, first, parts = 1, args, env }: Group,
  files: readonly string[],
): Promise<Part[]> {
  const isLong = (file: string) => longest.includes(file);
  const dealt = [...longest.filter((file) => files.includes(file)), ...files.filter((file) => !isLong(file))];
  return await Promise.all(Array.from({ length: Math.min(parts, files.length) }, async (_, i) => {
    // To and fro: who gets the longest gets the shortest of the next round.
    const own = dealt.filter((_, at) => partOf(at, parts) === i);
    const imports = [...first === undefined ? [] : [first], ...own].map((file) =>
      `import ${JSON.stringify(pathToFileURL(file).href)};`
    );
    const part = parts === 1 ? name : `${name}, ${i + 1} of ${parts}`;
    const module = `${folder}/${part}.ts`;
    await Deno.writeTextFile(module, imports.join("\n"));
    return { name: part, module, args, ...env === undefined ? {} : { env } };
  }));
}

function partOf(at: number, parts: number): number {
  const place = at % (2 * parts);
  return place < parts ? place : 2 * parts - 1 - place;
}

/** Runs a part; gives what its report says, and a failure more when it ended badly without any in it. */
async function run({ name, args, module, env = {} }: Part): Promise<TestReport> {
  const reportPath = `${folder}/${name}.xml`;
  const began = performance.now();
  const command = new Deno.Command(Deno.execPath(), {
    // Types are what `deno task check` looks at.
    args: [
      ...["test", "--quiet", "--no-check", "--config=deno.json", `--junit-path=${reportPath}`],
      ...[...args, ...options, module],
    ],
    env,
    stdin: "null",
    signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(longestPart)]),
  });
  const { success } = await printed(command);
  console.log(`${name}: ${Math.round((performance.now() - began) / 1000)} s\n`);
  const report = parseReport(await Deno.readTextFile(reportPath).catch(() => ""));
  if (success || report.failed.length > 0) return report;
  return { ...report, failed: [`${name} did not run to their end`] };
}

async function printed(command: Deno.Command): Promise<Deno.CommandStatus> {
  const { stdout, stderr, ...status } = await command.output();
  for (const bytes of [stdout, stderr]) console.log(new TextDecoder().decode(bytes).trim());
  return status;
}

/** Takes part after part until none is left. */
async function runAll(parts: Iterator<Part>): Promise<TestReport[]> {
  const reports: TestReport[] = [];
  for (let next; !stopping.signal.aborted && !(next = parts.next()).done;) {
    reports.push(await run(next.value));
  }
  return reports;
}

const files = await Promise.all(groups.map(filesOf));
for (const path of chosen) {
  if (!files.flat().some((file) => isIn(file)(path))) refuse(path);
}
const stopping = new AbortController();
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => stopping.abort());
const folder = await Deno.makeTempDir({ prefix: "smp-test-" });
const reports: TestReport[] = [];
try {
  const parts = (await Promise.all(groups.map((group, at) => partsOf(group, files[at]!)))).flat().values();
  // Tests wait for more than half of their time.
  const running = Array.from({ length: Math.ceil(3 * navigator.hardwareConcurrency) }, () => runAll(parts));
  reports.push(...(await Promise.all(running)).flat());
} finally {
  await Deno.remove(folder, { recursive: true });
}
const passed = reports.reduce((sum, report) => sum + report.passed, 0);
const failed = reports.flatMap((report) => report.failed);
// What a filter leaves out is skipped in the report too.
const skipped = reports.flatMap((report) => report.skipped).filter((name) =>
  options.length === 0 || (name.includes("(skipped: ") && isHit(name, String(filter ?? "")))
);
for (const [what, names] of [["failed", failed], ["skipped", skipped]] as const) {
  if (names.length > 0) console.log(`${what}:\n${names.map((name) => `  ${name}`).join("\n")}`);
}
console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
const hasHit = passed + failed.length + skipped.length > 0;
if (filter !== undefined && !hasHit) console.error(`no test has ${JSON.stringify(filter)} in its name`);
Deno.exit(failed.length > 0 || !hasHit || stopping.signal.aborted ? 1 : 0);
