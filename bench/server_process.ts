/** A server in a process of its own, and its address. */
export interface ServerProcess extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
}

/** How a server is started. */
export interface ServerProcessOptions {
  /** Variables that are added to the environment. */
  readonly env?: Record<string, string>;
  /** Where its files are, which stay. @default a temporary folder */
  readonly folder?: string;
  /** More arguments. */
  readonly args?: readonly string[];
}

/** Starts `server/main.ts` on a free loopback port; resolves when it listens. */
export async function startServerProcess(
  { env = {}, folder, args = [] }: ServerProcessOptions = {},
): Promise<ServerProcess> {
  const files = folder ?? await Deno.makeTempDir();
  const main = new URL("../server/main.ts", import.meta.url).pathname;
  const permissions = ["--allow-net=127.0.0.1", `--allow-read=${files}`, `--allow-write=${files}`];
  const place = ["--config-dir", files, "--log-dir", files, "--host", "127.0.0.1", "--port", "0"];
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", ...permissions, main, "-y", ...place, ...args],
    env,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let output = "";
  for await (
    const text of process.stdout.pipeThrough(new TextDecoderStream()).values({ preventCancel: true })
  ) {
    output += text;
    const match = /server address: (\S+)/.exec(output);
    if (match === null) continue;
    return {
      address: match[1]!,
      pid: process.pid,
      async [Symbol.asyncDispose]() {
        process.kill("SIGTERM");
        await process.status;
        if (folder === undefined) await Deno.remove(files, { recursive: true });
      },
    };
  }
  throw new Error("the server did not start");
}
