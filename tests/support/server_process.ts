import { openSslPaths, publicKeyHash } from "../../protocol/mod.ts";
import { formatIdentity } from "../../server/config/identity.ts";
import type { Status } from "../../server/observe/monitor.ts";
import { workers } from "./partitions.ts";
import { keyOf } from "./test_keys.ts";
import { next, patience, soon } from "./wait.ts";

const root = new URL("../../", import.meta.url);

/** What is preloaded so that a program makes no keys of its own. */
export const readyKeys = new URL("ready_keys.ts", import.meta.url).pathname;

/** How `server/main.ts` is run. */
export interface RunOptions {
  /** @default "server/main.ts" */
  readonly script?: string;
  /** The folder that the program may read and write. */
  readonly folder?: string;
  /** More folders. */
  readonly folders?: readonly string[];
  /** Lets it read what the WebSocket library asks for. */
  readonly webSockets?: boolean;
  /** Lets it start workers. */
  readonly workers?: boolean;
  /** Lets it open the OpenSSL of the system. */
  readonly openSsl?: boolean;
  /** Settings in the environment, which it may read. */
  readonly env?: Readonly<Record<string, string>>;
  /** Has it take keys that were made once, of which the first is always the same. @default true */
  readonly ready?: boolean;
  /** What runs the executable instead of the system, for instance `unshare`. */
  readonly wrapper?: readonly string[];
  /** A module that is loaded first. */
  readonly preload?: string;
}

/** How a run has ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Arguments for a process that has the permissions which the server documents, and no others. */
export function commandOf(args: readonly string[], options: RunOptions = {}): string[] {
  const {
    folder,
    folders = [],
    webSockets = false,
    openSsl = false,
    workers = false,
    env = {},
    wrapper = [],
    preload,
    script = "server/main.ts",
    ready = true,
  } = options;
  const files = [...(folder === undefined ? [] : [folder]), ...folders].join(",");
  const variables = [
    ...Object.keys(env),
    ...(webSockets ? ["WS_NO_BUFFER_UTIL", "WS_NO_UTF_8_VALIDATE"] : []),
  ];
  return [
    ...wrapper,
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    ...(files === "" ? [] : ["--allow-net", `--allow-read=${files}`, `--allow-write=${files}`]),
    ...(workers ? [`--allow-run=${Deno.execPath()}`] : []),
    ...(openSsl ? [`--allow-ffi=${openSslPaths.join(",")}`] : []),
    ...(variables.length === 0 ? [] : [`--allow-env=${variables.join(",")}`]),
    ...(ready ? [`--preload=${readyKeys}`] : []),
    ...(preload === undefined ? [] : [`--preload=${preload}`]),
    script,
    ...args,
  ];
}

function spawn(
  [file, ...args]: readonly string[],
  env: RunOptions["env"],
  cwd: string | URL = root,
): Deno.ChildProcess {
  return new Deno.Command(file!, {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs `server/main.ts` to its end. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const decoder = new TextDecoder();
  const { code, stdout, stderr } = await soon(spawn(commandOf(args, options), options.env).output());
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** How a server process is started. */
export interface ProcessOptions extends RunOptions {
  /** Holds all its files. */
  readonly folder: string;
  /** Text of `smp-server.ini`, which replaces the one that is there; with it comes a key, which is made otherwise. */
  readonly ini?: string;
  /** More arguments. @default `["-y"]` */
  readonly args?: readonly string[];
  /** How the line begins that it is waited for. @default the last line of the start */
  readonly until?: string;
}

/** A server in a process of its own, on free loopback ports, from when it listens. */
export class ServerProcess implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #errors: AsyncIterator<string>;
  /** What it printed when it started. */
  readonly printed: string[] = [];

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#lines = linesOf(process.stdout);
    this.#errors = linesOf(process.stderr);
  }

  /** Starts a server; resolves when it has printed that it listens. */
  static async start(options: ProcessOptions): Promise<ServerProcess> {
    const { folder, ini, args = ["-y"], webSockets = false } = options;
    if (ini !== undefined) {
      await Deno.writeTextFile(`${folder}/smp-server.ini`, ini, { mode: 0o600 });
      await giveKey(folder);
    }
    const place = ["--host", "127.0.0.1", "--port", "0", ...(webSockets ? ["--ws-port", "0"] : [])];
    const directories = ["--config-dir", folder, "--log-dir", folder];
    const isSpread = workers > 1 && ini?.includes("messages: journal") && !args.includes("--workers");
    return await ServerProcess.startBare({
      ...options,
      ...(isSpread && { workers: true }),
      args: ["start", ...directories, ...place, ...args, ...(isSpread ? ["--workers", `${workers}`] : [])],
    });
  }

  /** Starts a server with nothing but the given arguments; resolves when it has printed that it listens. */
  static startBare({ args = [], until, ...options }: ProcessOptions): Promise<ServerProcess> {
    return ServerProcess.spawned({ command: commandOf(args, options), ...options, ...(until && { until }) });
  }

  /** Starts a server by a command line; resolves when it has printed that it listens. */
  static async spawned(
    { command, env = {}, until = "try it", cwd }: {
      readonly command: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
      readonly until?: string;
      /** @default the checkout */
      readonly cwd?: string;
    },
  ): Promise<ServerProcess> {
    const server = new ServerProcess(spawn(command, env, cwd));
    try {
      do server.printed.push(await next(server.#lines)); while (!server.printed.at(-1)!.startsWith(until));
    } catch (cause) {
      const { stderr } = await server.kill("SIGKILL");
      throw new Error(`the server did not start: ${stderr}`, { cause });
    }
    return server;
  }

  /** Its process ID. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Its full address on loopback. */
  get address(): string {
    return this.#printed(/^server address: (.*)$/m)!;
  }

  /** The hash of its key, base64. */
  get keyHash(): string {
    return this.#printed(/^transport key hash: (.*)$/m)!;
  }

  /** Where its metrics are, when they are on. */
  get metricsUrl(): string | undefined {
    return this.#printed(/^metrics: (.*)$/m);
  }

  /** The port that it says it listens on. */
  port(transport?: "TCP" | "WebSockets"): number {
    const what = transport === undefined ? "" : ` \\(${transport}\\)`;
    return Number(this.#printed(new RegExp(`^listening on port (\\d+)${what}( |$)`, "m")));
  }

  /** What its status page is made from, when metrics are on. */
  async status(): Promise<Status> {
    const end = performance.now() + patience;
    for (;;) {
      const response = await soon(fetch(new URL("/status.json", this.metricsUrl)));
      if (response.ok) return await response.json();
      // It was asked too often in this second.
      await response.body?.cancel();
      if (performance.now() > end) throw new Error(`the status is not to be had: ${response.status}`);
    }
  }

  /** The next line that it prints. */
  line(): Promise<string> {
    return next(this.#lines);
  }

  /** The next line that it logs. */
  logged(): Promise<string> {
    return next(this.#errors);
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Sends a signal and waits for the end; gives what was not read of its output. */
  async kill(signal: Deno.Signal): Promise<Outcome> {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended.
    }
    return await this.end();
  }

  /** Waits for the end; gives what was not read of its output. */
  async end(): Promise<Outcome> {
    const [{ code }, stdout, stderr] = await soon(
      Promise.all([this.#process.status, rest(this.#lines), rest(this.#errors)]),
    );
    return { code, stdout, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
  }

  #printed(pattern: RegExp): string | undefined {
    return pattern.exec(this.printed.join("\n"))?.[1];
  }
}

/** Puts the key of all servers of tests into a folder that has none. */
export async function giveKey(folder: string): Promise<void> {
  const keyPair = await keyOf("server", "decrypt");
  const pem = await formatIdentity({ keyPair, keyHash: await publicKeyHash(keyPair.publicKey) });
  await Deno.writeTextFile(`${folder}/server_key`, pem, { mode: 0o600, createNew: true }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
}

/** A temporary folder that is gone after the test. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "smp-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** The lines of what a program prints. */
export async function* linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function rest(lines: AsyncIterator<string>): Promise<string> {
  let text = "";
  for (let line = await lines.next(); !line.done; line = await lines.next()) text += `${line.value}\n`;
  return text;
}
