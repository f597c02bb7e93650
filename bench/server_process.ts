/** A server in a process of its own, and its address. */
export interface ServerProcess extends AsyncDisposable {
  readonly address: string;
}

/** Starts `server/main.ts` on a free loopback port, with its files in a temporary folder and `env` added. */
export async function startServerProcess(env: Record<string, string> = {}): Promise<ServerProcess> {
  const configDir = await Deno.makeTempDir();
  const main = new URL("../server/main.ts", import.meta.url).pathname;
  const permissions = ["--allow-net=127.0.0.1", `--allow-read=${configDir}`, `--allow-write=${configDir}`];
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      ...permissions,
      main,
      "-y",
      "--config-dir",
      configDir,
      "--host",
      "127.0.0.1",
      "--port",
      "0",
    ],
    env,
    stdout: "piped",
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
      async [Symbol.asyncDispose]() {
        process.kill("SIGTERM");
        await process.status;
        await Deno.remove(configDir, { recursive: true });
      },
    };
  }
  throw new Error("the server did not start");
}
