import { openSslPaths } from "../protocol/mod.ts";

/** The permission to use the OpenSSL of the system. */
export const ffiPermission = `--allow-ffi=${openSslPaths.join(",")}`;

/** A server in a process of its own, and its address. */
export interface ServerProcess extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
  /** Where its metrics are, when they are on. */
  readonly metricsUrl: string | undefined;
}

/** How a server is started. */
export interface ServerProcessOptions {
  /** Variables that are added to the environment. */
  readonly env?: Record<string, string>;
  /** Where its files are, which stay. @default a temporary folder */
  readonly folder?: string;
  /** More arguments. */
  readonly args?: readonly string[];
  /** Lets it use the OpenSSL of the system. */
  readonly openSsl?: boolean;
  /** Processes that serve. @default the one, without `--workers` */
  readonly workers?: number;
  /** Text of `smp-server.ini`. */
  readonly ini?: string;
}

/** Starts `server/main.ts` as `deno task start` does, on a free loopback port; resolves when it listens. */
export async function startServerProcess(
  { env = {}, folder, args = [], openSsl = false, workers, ini }: ServerProcessOptions = {},
): Promise<ServerProcess> {
  const files = folder ?? await Deno.makeTempDir();
  if (ini !== undefined) await Deno.writeTextFile(`${files}/smp-server.ini`, ini);
  const main = new URL("../server/main.ts", import.meta.url).pathname;
  const permissions = [
    "--allow-net=127.0.0.1",
    `--allow-read=${files}`,
    `--allow-write=${files}`,
    ...(openSsl ? [ffiPermission] : []),
    ...(workers === undefined ? [] : [`--allow-run=${Deno.execPath()}`]),
  ];
  const place = ["--config-dir", files, "--log-dir", files, "--host", "127.0.0.1", "--port", "0"];
  if (workers !== undefined) place.push("--workers", `${workers}`);
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--v8-flags=--max-semi-space-size=4", ...permissions, main, "-y", ...place, ...args],
    env: { DENO_TOKIO_EVENT_INTERVAL: "1", ...env },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let output = "";
  const texts = process.stdout.pipeThrough(new TextDecoderStream());
  for await (const text of texts.values({ preventCancel: true })) {
    output += text;
    if (/server address: \S+/.test(output)) break;
  }
  const address = /server address: (\S+)/.exec(output)?.[1];
  if (address === undefined) throw new Error("the server did not start");
  // A pipe that nobody reads stops who writes into it.
  void texts.pipeTo(new WritableStream());
  return {
    address,
    pid: process.pid,
    metricsUrl: /metrics: (\S+)/.exec(output)?.[1],
    async [Symbol.asyncDispose]() {
      process.kill("SIGTERM");
      await process.status;
      if (folder === undefined) await Deno.remove(files, { recursive: true });
    },
  };
}

/** CPU time that a process has used, milliseconds; 0 where the system does not tell. */
export async function cpuTime(pid: number): Promise<number> {
  try {
    const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/stat`] }).output();
    // After the name, which may have spaces: state, then eleven numbers before the two times, in hundredths of a second.
    const fields = new TextDecoder().decode(stdout).split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}

/** A process and those that it has started. */
export async function withChildren(pid: number): Promise<readonly number[]> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "cat /proc/[0-9]*/stat 2>/dev/null"] })
    .output();
  const children = new TextDecoder().decode(stdout).split("\n").flatMap((line) => {
    const [, child, parent] = /^(\d+) \(.*\) \w (\d+) /.exec(line) ?? [];
    return Number(parent) === pid ? [Number(child)] : [];
  });
  return [pid, ...children];
}

/** Resident memory of a process and the most that it has had, in bytes; 0 where the system does not tell. */
export async function memoryOf(pid: number): Promise<{ readonly resident: number; readonly peak: number }> {
  try {
    const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/status`] }).output();
    const text = new TextDecoder().decode(stdout);
    const read = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)![1]) * 1024;
    return { resident: read("VmRSS"), peak: read("VmHWM") };
  } catch {
    return { resident: 0, peak: 0 };
  }
}

/** Limits that keep no benchmark from what it does. */
export const noLimits =
  "[LIMITS]\nconnections: 50000\nconnections_per_ip: 0\nnew_queues_per_hour_per_ip: 0\n" +
  "handshakes_per_ip: 0\nhandshakes_per_second_per_ip: 0\nrefused_ms_per_second_per_ip: 0\nextra_ms_per_second_per_ip: 0\nmemory_mib: 0\n";
