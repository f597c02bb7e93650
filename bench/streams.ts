import { cpuTime, ffiPermission, memoryOf, startServerProcess } from "./server_process.ts";
import type { StreamFigures } from "./stream_agent.ts";
import { percentiles, printTable, record } from "./table.ts";

/** MiB: some hundred messages beside it have a 99th percentile. */
const size = 1024;

/** A stream from one agent to another, each in a process of its own, through a server in a third one. */
export async function benchStreams(): Promise<void> {
  const rows: string[][] = [];
  for (const [openSsl, target] of [[true, "60"], [false, "25"]] as const) {
    const figures = await measure(openSsl);
    const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(0);
    const [, p99] = percentiles(figures.latencies);
    rows.push([
      openSsl ? "OpenSSL" : "plain",
      (figures.rate / 1e6).toFixed(1),
      target,
      mib(figures.sender),
      mib(figures.receiver),
      mib(figures.server),
      p99,
      figures.processor.toFixed(1),
    ]);
    const { latencies: _, ...numbers } = figures;
    record(`stream ${openSsl ? "openssl" : "plain"}`, numbers);
  }
  const limit = await copyByTls();
  record("stream limit", { rate: limit });
  rows.push(["a copy through one TCP connection with TLS", (limit / 1e6).toFixed(1), ...Array(6).fill("–")]);
  printTable(
    `streams: ${size} MiB from agent to agent, with messages beside it; MiB of memory above idle (target 32)`,
    ["", "MB/s", "target", "sender", "receiver", "server", "message p99 ms (50)", "CPU ms a MB"],
    rows,
  );
}

async function measure(openSsl: boolean) {
  await using server = await startServerProcess({ openSsl });
  const start = (...args: readonly string[]) => {
    const main = new URL("stream_agent.ts", import.meta.url).pathname;
    const permissions = ["--allow-net=127.0.0.1", "--allow-read", "--allow-write", "--allow-run=cat"];
    if (openSsl) permissions.push(ffiPermission);
    return new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--v8-flags=--max-semi-space-size=4,--heap-growing-percent=60",
        ...permissions,
        main,
        ...args,
      ],
      env: { DENO_TOKIO_EVENT_INTERVAL: "1", MALLOC_ARENA_MAX: "1" },
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  };
  const crypto = openSsl ? "openssl" : "plain";
  const receiver = start("receive", server.address, crypto);
  const lines = linesOf(receiver.stdout);
  const invitation = await next(lines);
  const idle = (await memoryOf(server.pid)).resident, before = await cpuTime(server.pid);
  const sender = start("send", server.address, crypto, invitation, `${size}`);
  const sent: StreamFigures = JSON.parse(await next(linesOf(sender.stdout)));
  const received: StreamFigures = JSON.parse(await next(lines));
  const memory = (await memoryOf(server.pid)).peak - idle;
  await Promise.all([receiver.status, sender.status]);
  return {
    rate: received.rate,
    sender: sent.memory,
    receiver: received.memory,
    server: memory,
    latencies: received.latencies,
    processor: sent.processor + received.processor +
      (await cpuTime(server.pid) - before) / (size * 1024 * 1024) * 1e6,
  };
}

/** Bytes a second of the same through TLS alone, from one process to another: what there is to reach. */
async function copyByTls(): Promise<number> {
  const start = (...args: readonly string[]) => {
    const main = new URL("tls_copy.ts", import.meta.url).pathname;
    const certificates = new URL("../tests/vectors/tls", import.meta.url).pathname;
    return new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-net=127.0.0.1", `--allow-read=${certificates}`, main, ...args],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  };
  const receiver = start("receive");
  const lines = linesOf(receiver.stdout);
  const sender = start("send", await next(lines), `${size}`);
  const rate = Number(await next(lines));
  await Promise.all([receiver.status, sender.output()]);
  return rate;
}

async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

async function next(lines: AsyncGenerator<string, void, void>): Promise<string> {
  const { value } = await lines.next();
  if (value === undefined) throw new Error("the agent has ended");
  return value;
}
