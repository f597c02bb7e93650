import type { OutgoingStream, StreamOffer } from "../../agent/mod.ts";
import { SqliteStore } from "../../agent/store/sqlite.ts";
import type { SmpServer } from "../../server/mod.ts";
import { TestAgent } from "./agent.ts";
import { AgentFolder, connectCommand } from "./agent_command.ts";
import { readyPair } from "./ready_pair.ts";
import { startServer } from "./server.ts";
import { sessions } from "./streams.ts";
import { soon } from "./wait.ts";

/** An agent "a" of this process, and a database whose commands call it "b". */
export async function pair(given?: string) {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await AgentFolder.make());
  const db = folder.file("b.db");
  const own = given === undefined ? resources.use(await startServer()) : null;
  const server = given ?? own!.address;
  const stores = own && await inDatabase(own, db);
  const peer = resources.use(
    await TestAgent.start(server, { ...sessions, ...stores && { store: stores.alice } }),
  );
  if (stores === null) await connectCommand(peer, { db, server, isSession: true });
  else await peer.agent.subscribeAll();
  return { folder, peer, db, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Stores of two agents with a session, bob's in a database. */
async function inDatabase(server: SmpServer, db: string): ReturnType<typeof readyPair> {
  await using bob = await SqliteStore.open(db);
  return await readyPair(server, { bob, names: ["a", "b"] });
}

/** The names of files in a folder, sorted. */
export function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** How many bytes of a file are in a folder that has not come whole. */
export function partIn(folder: string): number {
  const part = namesIn(folder).find((name) => name.endsWith(".part"));
  return part === undefined ? 0 : Deno.statSync(`${folder}/${part}`).size;
}

/** What was told about the end of a stream: its code, and the words of the other side. */
export async function endOf(stream: OutgoingStream | StreamOffer): Promise<unknown[]> {
  const error = await soon(stream.ended).then(() => null, (error) => error);
  return [error?.code, error?.told];
}

/** Reads some of a stream, or the rest. */
export async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  least = Infinity,
): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for (let length = 0; length < least;) {
    const { done, value } = await soon(reader.read());
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  return parts;
}

export async function joined(parts: Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  return await new Blob(parts as BlobPart[]).bytes();
}
