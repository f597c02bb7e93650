import { assert, assertEquals } from "@std/assert";
import { connect as connectNet, type Socket } from "node:net";
import { setImmediate } from "node:timers";
import { joinParts, parseAddress, randomBytes, textBytes } from "../../protocol/mod.ts";
import {
  BlockCipher,
  connectTcp,
  decodePublicKey,
  encodeClientHandshake,
  encryptOaep,
  SmpClient,
  webSocketTransport,
} from "../../mod.ts";
import { randomOf } from "../fuzz/mutate.ts";
import { frame, opcodes, readServerKey, upgradeRequest } from "../support/raw_client.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { patience, soon } from "../support/wait.ts";

// The deadline for a handshake is longer than the test waits: what is left behind stays and is seen.
const ini = `[METRICS]
port: 0
[LIMITS]
handshakes_per_ip: 0
handshakes_per_second_per_ip: 0
handshake_timeout_seconds: 600
`;

/** Bytes that one test sends about, and connections that it makes at least and at most, so many at a time. */
const volume = 2 ** 26;
const [fewest, most, atATime] = [36, 300, 6];

/** How a peer goes. */
const ends = ["reset", "end"] as const;
/** What a peer waits for after it has sent its bytes: nothing, some turns of the event loop, or a first answer. */
const waits = ["nothing", "turns", "answer"] as const;

/** All that one client sends, in the pieces that mean something, each made when it is asked for. */
type Life = (
  key: Uint8Array<ArrayBuffer>,
) => AsyncIterable<Uint8Array<ArrayBuffer>> | Iterable<Uint8Array<ArrayBuffer>>;

/** How many blocks a life has, and of what size: the many are so many bytes that their answers do not fit a socket. */
type Size = readonly [blocks: number, blockSize: number];
const few: Size = [4, 4096], many: Size = [75, 65_536];

/** A handshake, and then blocks. */
async function* units(
  key: Uint8Array<ArrayBuffer>,
  [blocks, blockSize]: Size,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const keys = {
    sndKey: randomBytes(32),
    sndBaseIv: randomBytes(16),
    rcvKey: randomBytes(32),
    rcvBaseIv: randomBytes(16),
  };
  const handshake = encodeClientHandshake({ blockSize, keys });
  const cipher = await BlockCipher.create(keys.sndKey, keys.sndBaseIv);
  yield await encryptOaep(decodePublicKey(key), handshake);
  for (let i = 0; i < blocks; i++) {
    const block = new Uint8Array(blockSize);
    await cipher.encrypt(textBytes(` ${i}  PING `), block);
    yield block;
  }
}

async function* framed(
  key: Uint8Array<ArrayBuffer>,
  size: Size,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const ping = frame(opcodes.ping, textBytes("hi"));
  yield textBytes(upgradeRequest("/"));
  yield ping;
  let isHandshake = true;
  for await (const unit of units(key, size)) {
    yield frame(opcodes.binary, unit);
    if (isHandshake) yield ping;
    isHandshake = false;
  }
  yield frame(opcodes.close, new Uint8Array(0));
}

const get = (path: string) => textBytes(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);

const lives: Readonly<Record<string, readonly (readonly [string, Life])[]>> = {
  TCP: [
    ["a handshake and a few blocks", (key) => units(key, few)],
    ["a handshake and many blocks", (key) => units(key, many)],
  ],
  WebSockets: [
    ["an upgrade, a handshake and a few frames", (key) => framed(key, few)],
    ["an upgrade, a handshake and many frames", (key) => framed(key, many)],
    ["an upgrade on another path", () => [textBytes(upgradeRequest("/other")), get("/")]],
    ["plain requests", () => [get("/"), get("/"), get("/")]],
  ],
  metrics: [
    ["a request for the status page", () => [get("/")]],
    ["requests for all metrics", () => new Array(20).fill(get("/metrics"))],
    ["an upgrade", () => [textBytes(upgradeRequest("/")), get("/")]],
  ],
};

/** One connection to `port` that sends the first `length` of `bytes`, and goes. */
async function live(
  port: number,
  bytes: Uint8Array<ArrayBuffer>,
  { wait, end, turns }: {
    readonly wait: typeof waits[number];
    readonly end: typeof ends[number];
    readonly turns: number;
  },
): Promise<void> {
  const socket: Socket = connectNet({ host: "127.0.0.1", port });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const happened = Promise.withResolvers<void>();
  socket.on("error", () => {});
  socket.once("close", () => happened.resolve());
  socket.once("connect", () => {
    // What the server does not take, because nobody reads its answers, keeps nobody here waiting.
    if (bytes.length === 0) happened.resolve();
    else socket.write(bytes, () => happened.resolve());
    if (bytes.length > 65536) setImmediate(() => happened.resolve());
  });
  await soon(happened.promise);
  if (wait === "answer" && !socket.destroyed) {
    const answered = Promise.withResolvers<void>();
    const timer = setTimeout(() => answered.resolve(), 50);
    socket.once("data", () => {
      socket.pause();
      answered.resolve();
    });
    socket.once("close", () => answered.resolve());
    await answered.promise;
    clearTimeout(timer);
  } else if (wait === "turns") {
    for (let i = 0; i < turns; i++) await new Promise((resolve) => void setImmediate(resolve));
  }
  if (end === "reset") socket.resetAndDestroy();
  else {
    socket.end();
    socket.resume();
    // Who has ended and is still being sent something goes in the end.
    const timer = setTimeout(() => socket.destroy(), 200);
    socket.once("close", () => clearTimeout(timer));
  }
  await soon(closed);
}

async function serves(server: ServerProcess): Promise<void> {
  const { host, keyHash } = parseAddress(server.address);
  for (const [port, transport] of [["TCP", undefined], ["WebSockets", webSocketTransport]] as const) {
    await using client = await soon(
      SmpClient.connect({ host, port: server.port(port), keyHash: keyHash! }, transport && { transport }),
    );
    await soon(client.ping());
  }
}

/** Sockets that a process has. */
async function socketsOf(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ls", { args: ["-l", `/proc/${pid}/fd`] }).output();
  return new TextDecoder().decode(stdout).split("socket:").length - 1;
}

/** Waits until the server holds nothing of the connections that there were, none of which it failed at. */
async function settled(server: ServerProcess, sockets: number): Promise<void> {
  const end = performance.now() + patience;
  for (;;) {
    const { gauges, totals } = await server.status();
    assertEquals(totals.internalErrors, 0);
    const found = [gauges, await socketsOf(server.pid)] as const;
    if (gauges.connections === 0 && gauges.handshakes === 0 && found[1] <= sockets) return;
    assert(
      performance.now() < end,
      `the server still holds ${JSON.stringify(found)}, not ${sockets} sockets`,
    );
  }
}

async function serverKey(server: ServerProcess): Promise<Uint8Array<ArrayBuffer>> {
  const channel = await connectTcp("127.0.0.1", server.port("TCP"));
  try {
    return await readServerKey(channel);
  } finally {
    await channel.close();
  }
}

/** The lengths of a life's pieces, which it has each time. */
async function lengthsOf(life: Life, key: Uint8Array<ArrayBuffer>): Promise<number[]> {
  return (await Array.fromAsync(life(key))).map(({ length }) => length);
}

/** How many bytes are sent of pieces: up to the end of one, one byte less or more, or anywhere in the next. */
function lengthOf(pieces: readonly number[], random: () => number): number {
  const below = (limit: number) => Math.floor(random() * limit);
  const whole = below(pieces.length + 1);
  const start = sum(pieces.slice(0, whole));
  const more = [0, 0, -1, 1, below(pieces[whole] ?? 1)];
  return Math.max(0, start + more[below(more.length)]!);
}

function sum(lengths: readonly number[]): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** The first `length` bytes of a life; no piece is made behind them. */
async function beginningOf(
  life: Life,
  key: Uint8Array<ArrayBuffer>,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let made = 0;
  for await (const piece of life(key)) {
    if (made >= length) break;
    pieces.push(piece);
    made += piece.length;
  }
  return joinParts(pieces).subarray(0, length);
}

Deno.test("connections to any port, cut anywhere by a reset or an end, leave the server as it was", async (t) => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, ini, webSockets: true });
  const key = await serverKey(server);
  for (const [port, kinds] of Object.entries(lives)) {
    const number = port === "metrics" ? Number(new URL(server.metricsUrl!).port) : server.port(port as "TCP");
    for (const [name, life] of kinds) {
      const done = await t.step(`on the ${port} port, ${name}`, async () => {
        await serves(server);
        await settled(server, Infinity);
        const sockets = await socketsOf(server.pid);
        const seed = Math.floor(Math.random() * 2 ** 31);
        const random = randomOf(seed);
        const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
        try {
          const lengths = await lengthsOf(life, key);
          const connections = Math.min(most, Math.max(fewest, volume / sum(lengths)));
          for (let i = 0; i < connections; i += atATime) {
            await Promise.all(Array.from({ length: atATime }, async () => {
              const [wait, end, turns] = [pick(waits), pick(ends), Math.floor(random() * 20)];
              const cut = randomOf(random() * 2 ** 31);
              const bytes = await beginningOf(life, key, lengthOf(lengths, cut));
              await live(number, bytes, { wait, end, turns });
            }));
          }
          await serves(server);
          await settled(server, sockets);
        } catch (cause) {
          const { stderr } = await server.kill("SIGKILL");
          throw new Error(`with the seed ${seed}: ${stderr}`, { cause });
        }
      });
      // The server is gone.
      if (!done) return;
    }
  }
  const { code, stderr } = await server.kill("SIGTERM");
  assertEquals([code, stderr], [0, stderr]);
  assert(!/error/i.test(stderr), stderr);
});

Deno.test("peers that freeze anywhere on any port do not keep the server from stopping", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, ini, webSockets: true });
  const key = await serverKey(server);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = randomOf(seed);
  const sockets: Socket[] = [];
  for (const [port, kinds] of Object.entries(lives)) {
    const number = port === "metrics" ? Number(new URL(server.metricsUrl!).port) : server.port(port as "TCP");
    for (const [, life] of kinds) {
      const whole = await Array.fromAsync(life(key));
      const lengths = whole.map(({ length }) => length);
      for (let i = 0; i < 8; i++) {
        const bytes = joinParts(whole).subarray(0, lengthOf(lengths, random));
        const socket = connectNet({ host: "127.0.0.1", port: number });
        socket.on("error", () => {});
        await soon(new Promise<void>((resolve) => socket.once("connect", () => resolve())));
        socket.pause();
        if (bytes.length > 0) socket.write(bytes);
        sockets.push(socket);
      }
    }
  }
  await serves(server);
  assertEquals((await server.status()).totals.internalErrors, 0);
  const { code, stderr } = await server.kill("SIGTERM");
  assertEquals(code, 0, `with the seed ${seed}: ${stderr}`);
  for (const socket of sockets) {
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    if (!socket.destroyed) {
      socket.destroy();
      await soon(closed);
    }
  }
});
