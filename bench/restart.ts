import { decodePublicKey, encodeBase64, encodePublicKeyText, generateKeyPair } from "../mod.ts";
import { randomBytes } from "../protocol/mod.ts";
import { memoryOf, startServerProcess } from "./server_process.ts";
import { printTable, record } from "./table.ts";

/** What a log holds before the start. */
export interface Log {
  /** Queues that there are, each with two keys of 2048 bits. */
  readonly queues: number;
  /** Queues that were deleted: two lines each, which the start removes. */
  readonly deleted: number;
  /** Messages of 1000 bytes in the journal. */
  readonly messages: number;
}

const logs: readonly Log[] = [
  { queues: 0, deleted: 0, messages: 0 },
  { queues: 100_000, deleted: 0, messages: 0 },
  { queues: 100_000, deleted: 100_000, messages: 0 },
  { queues: 100_000, deleted: 0, messages: 100_000 },
  { queues: 1_000_000, deleted: 0, messages: 0 },
];

/** Time and memory of starting a server on logs of several sizes. */
export async function benchRestart(): Promise<void> {
  const rows = [];
  for (const log of logs) {
    const folder = await Deno.makeTempDir();
    try {
      // The key is made before, so that its time is not measured.
      await (await startServerProcess({ folder }))[Symbol.asyncDispose]();
      await Deno.writeTextFile(`${folder}/smp-server.ini`, "[STORE_LOG]\nenable: on\nmessages: journal\n");
      const size = await writeLogs(folder, log);
      const began = performance.now();
      const server = await startServerProcess({ folder });
      const seconds = (performance.now() - began) / 1000;
      const { resident, peak } = await memoryOf(server.pid);
      await server[Symbol.asyncDispose]();
      const { queues, deleted, messages } = log;
      const name = `${queues} queues, ${deleted} deleted, ${messages} messages`;
      record(`restart: ${name}`, { seconds, resident, peak });
      rows.push([
        name,
        `${Math.round(size / 2 ** 20)}`,
        seconds.toFixed(2),
        `${Math.round(resident / 2 ** 20)}`,
        `${Math.round(peak / 2 ** 20)}`,
      ]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  printTable(
    "start on a store log and a message journal, until the server listens",
    ["in the logs", "files MiB", "s", "memory MiB", "peak MiB"],
    rows,
  );
}

/** Writes both logs; gives their size in bytes. */
export async function writeLogs(folder: string, { queues, deleted, messages }: Log): Promise<number> {
  const { publicKey } = await generateKeyPair("sign");
  const template = publicKey.der;
  const id = () => encodeBase64(randomBytes(12));
  // Keys that differ in their modulus, as real ones do.
  const key = () => {
    const der = template.slice();
    der.set(randomBytes(200), 50);
    return encodePublicKeyText(decodePublicKey(der));
  };
  const create = (recipientId: string) =>
    `CREATE rid=${recipientId} sid=${id()} rk=${key()} sk=\nSECURE ${recipientId} ${key()}\n`;
  const recipientIds: string[] = [];
  await write(`${folder}/smp-server-store.log`, queues + deleted, (i) => {
    const recipientId = id();
    if (i >= queues) return `${create(recipientId)}DELETE ${recipientId}\n`;
    if (recipientIds.length < messages) recipientIds.push(recipientId);
    return create(recipientId);
  });
  const body = encodeBase64(randomBytes(1000));
  await write(`${folder}/smp-server-messages.log`, messages, (i) => {
    const line = `MSG ${recipientIds[i]} ${id()} ${new Date().toISOString()} ${body}\n`;
    return i === 0 ? `smp-messages 1\n${line}` : line;
  });
  let size = 0;
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".log")) size += (await Deno.stat(`${folder}/${name}`)).size;
  }
  return size;
}

async function write(path: string, count: number, line: (i: number) => string): Promise<void> {
  if (count === 0) return;
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const encoder = new TextEncoder();
  for (let at = 0; at < count;) {
    const lines: string[] = [];
    for (; at < count && lines.length < 1000; at++) lines.push(line(at));
    const bytes = encoder.encode(lines.join(""));
    for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  }
}
