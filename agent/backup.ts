/** An agent's connections and messages as one encrypted file, which any store can be made from (docs/agent-store.md). */
import { BackupError, maxFrame, openFrames, sealFrames } from "./backup_file.ts";
import { formatAddress, parseAddress } from "../protocol/mod.ts";
import { References } from "./backup_references.ts";
import { parsePutChange, type PutChange } from "./store/parse_change.ts";
import { deserialize, serialize } from "./store/serialize.ts";
import type { AgentStore } from "./store/store.ts";
import { defaultIterations } from "./store/vault.ts";

export { BackupError, type BackupErrorCode } from "./backup_file.ts";

/** How a backup is written. */
export interface WriteBackupOptions {
  /** Encrypts the file; it need not be the store's. */
  readonly passphrase: string;
  /** Rounds of PBKDF2. @default 600000 */
  readonly iterations?: number;
  /** Addresses of servers on which the agent makes its queues, which no store has; 64 at most, without passwords. @default none */
  readonly servers?: readonly string[];
}

/** How a backup is read. */
export interface ReadBackupOptions {
  /** What the file was written with. */
  readonly passphrase: string;
}

/** What was read from a backup. */
export interface BackupCounts {
  /** How many connections there were. */
  readonly connections: number;
  /** How many messages they had. */
  readonly messages: number;
  /** The servers that were given when it was written. */
  readonly servers: readonly string[];
}

/** A frame is closed when it has so many bytes. */
const frameSize = 65_536 - 16;
/** Servers of a backup. */
const mostServers = 64;
/** What is read is committed when it has so many bytes: a smaller backup is stored whole or not at all. */
const commitSize = 16 << 20;

/**
 * The backup of a store as it is when the stream is first read; the agent may go on meanwhile. The stream fails with
 * {@linkcode BackupError} when something stored cannot be in a backup, and with `StoreError` when the store does.
 * Throws `RangeError` when the passphrase is empty or there are too many servers, `ParseError` for one that cannot be.
 *
 * A backup has the keys of all connections. Two agents that are made of it would take each other's messages.
 */
export function writeBackup(
  store: Pick<AgentStore, "snapshot">,
  { passphrase, iterations = defaultIterations, servers = [] }: WriteBackupOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (passphrase === "") throw new RangeError("passphrase: it is empty");
  const head: ServersRecord = { type: "servers", servers };
  serversOf(head);
  const parts = sealFrames(contentsOf(store.snapshot(), head), { passphrase, iterations });
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return();
    },
  }, { highWaterMark: 0 });
}

/**
 * Puts what a backup has into a store without connections, which no agent may use meanwhile. Nothing is read that is not
 * authentic and in its place; when this rejects, no connection is in the store. If the program ends meanwhile,
 * there may be messages of connections without routes, which do nothing.
 *
 * Throws {@linkcode BackupError} when the file cannot be read, `StoreError` when the store fails, and what `source` does.
 */
export async function readBackup(
  store: AgentStore,
  source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
  { passphrase }: ReadBackupOptions,
): Promise<BackupCounts> {
  await checkEmpty(store, source);
  const references = new References();
  let now: PutChange[] = [], size = 0, isCommitted = false, isFirst = true;
  let servers: readonly string[] = [];
  // Without routes a connection does nothing: all that makes it work comes at once, and last.
  const last: PutChange[] = [];
  try {
    for await (const content of openFrames(chunksOf(source), { passphrase })) {
      for (const record of recordsIn(content)) {
        if (isFirst && isServers(record)) servers = reading(() => serversOf(record));
        else {
          const change = reading(() => changeOf(record, references));
          (isLast(change) ? last : now).push(change);
        }
        isFirst = false;
      }
      size += content.length;
      if (size < commitSize) continue;
      isCommitted = true;
      await store.commit(now);
      [now, size] = [[], 0];
    }
    await store.commit([...now, ...last]);
  } catch (error) {
    if (isCommitted) await undo(store, references.connections, error);
    throw error;
  }
  return { connections: references.connections.size, messages: references.messages, servers };
}

/** What is before all changes. */
interface ServersRecord {
  readonly type: "servers";
  readonly servers: readonly string[];
}

function isServers(record: unknown): record is { readonly servers?: unknown } {
  return typeof record === "object" && record !== null && "type" in record && record.type === "servers";
}

/** Throws `RangeError`, `ParseError`. */
function serversOf({ servers }: { readonly servers?: unknown }): readonly string[] {
  if (!Array.isArray(servers) || servers.length > mostServers) {
    throw new RangeError(`servers: not a list of at most ${mostServers} addresses`);
  }
  return servers.map((server) => formatAddress(parseAddress(String(server))));
}

async function checkEmpty(
  store: AgentStore,
  source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  if ((await store.connections()).length === 0) return;
  await chunksOf(source)[Symbol.asyncIterator]().return?.();
  throw new BackupError("NOT_EMPTY", "Cannot read the backup: there are connections already");
}

async function undo(store: AgentStore, connections: ReadonlySet<string>, error: unknown): Promise<void> {
  try {
    await store.commit(
      [...connections].map((connection) => ({ type: "delete connection", connection })),
    );
  } catch (cause) {
    throw new AggregateError([error, cause], "Cannot read the backup, and cannot remove what was read of it");
  }
}

/** What there may be much of, and nothing that makes a connection work. */
const early: ReadonlySet<PutChange["type"]> = new Set(
  ["put connection", "put message", "put outbox", "put frame", "put held"],
);

function isLast({ type }: PutChange): boolean {
  return !early.has(type);
}

/** Changes in pieces of about the size of a frame: each with its length before it. */
async function* contentsOf(
  changes: AsyncIterable<object>,
  head: ServersRecord,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const references = new References();
  const first = serialize(head);
  let parts = head.servers.length === 0 ? [] : [first],
    size = head.servers.length === 0 ? 0 : 4 + first.length;
  for await (const change of changes) {
    const bytes = serialize(checked(change, references));
    if (bytes.length > maxFrame - 4) {
      throw new BackupError(
        "SIZE",
        `Cannot write the backup: ${bytes.length} bytes are too many for a frame`,
      );
    }
    if (size > 0 && size + 4 + bytes.length > frameSize) {
      yield join(parts, size);
      [parts, size] = [[], 0];
    }
    parts.push(bytes);
    size += 4 + bytes.length;
  }
  if (size > 0) yield join(parts, size);
}

/** What could not be read again must not be written either. */
function checked(change: object, references: References): PutChange {
  try {
    const parsed = parsePutChange(change);
    references.check(parsed);
    return parsed;
  } catch (cause) {
    throw invalid("write", cause);
  }
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(size);
  const view = new DataView(joined.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    joined.set(part, at + 4);
    at += 4 + part.length;
  }
  return joined;
}

function* recordsIn(content: Uint8Array<ArrayBuffer>): Generator<unknown> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  for (let at = 0; at < content.length;) {
    const start = at + 4;
    const end = start <= content.length ? start + view.getUint32(at) : Infinity;
    if (end > content.length) throw invalid("read", new RangeError("a change is cut"));
    yield reading(() => deserialize(content.subarray(start, end)));
    at = end;
  }
}

function changeOf(record: unknown, references: References): PutChange {
  const change = parsePutChange(record);
  references.check(change);
  return change;
}

function reading<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw invalid("read", cause);
  }
}

function invalid(action: "read" | "write", cause: unknown): BackupError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BackupError("INVALID", `Cannot ${action} the backup: ${reason}`, { cause });
}

/** A stream's chunks: not every browser can iterate over a stream. */
function chunksOf(
  source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  return source instanceof ReadableStream ? chunksOfStream(source) : source;
}

async function* chunksOfStream(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = stream.getReader();
  let isDone = false;
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) {
        isDone = true;
        return;
      }
      yield value;
    }
  } finally {
    if (!isDone) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}
