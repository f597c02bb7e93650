import { osReason } from "../os_error.ts";
import { ask } from "./ask.ts";
import { type AdminPlace, checkPath } from "./place.ts";

/** Milliseconds in which whoever has the place says that it is what it is taken for. */
const aliveTime = 2_000;

/** What an operator connects to. */
export interface AdminListener extends AsyncDisposable {
  readonly listener: Deno.Listener<Deno.Conn>;
  /** What requests must have; `null`: whoever can connect may ask. */
  readonly token: string | null;
}

/** Another one answers at the place. */
export class PlaceTaken extends Error {
  override readonly name = "PlaceTaken";
}

/**
 * Takes the place, which somebody who was killed has perhaps left behind.
 * Throws `PlaceTaken`, `Error`, or what the system says.
 */
export async function listenAdmin(place: AdminPlace): Promise<AdminListener> {
  const { kind, path } = place;
  if (kind === "socket") checkPath(path);
  if (await isAlive(place)) throw new PlaceTaken(`another ${place.program} is administered by ${path}`);
  return kind === "socket" ? await listenSocket(path) : await listenPort(path);
}

async function isAlive(place: AdminPlace): Promise<boolean> {
  try {
    using asked = await ask(place, { type: "status" }, { timeout: aliveTime });
    return asked !== null;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    // Somebody has the socket; the port of an old file may be any program's.
    return place.kind === "socket";
  }
}

/** Nobody else can connect to it at any time: it is made where nobody else can look. */
async function listenSocket(path: string): Promise<AdminListener> {
  const folder = `${path}.new`;
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder, { mode: 0o700 });
  try {
    const aside = `${folder}/s`;
    const listener = Deno.listen({ transport: "unix", path: aside });
    try {
      await Deno.chmod(aside, 0o600);
      await makeRoom(path);
      const { ino, dev } = await Deno.lstat(aside);
      await Deno.rename(aside, path);
      return {
        listener,
        token: null,
        async [Symbol.asyncDispose]() {
          listener.close();
          const there = await Deno.lstat(path).catch(() => null);
          if (there?.ino === ino && there.dev === dev) await Deno.remove(path).catch(() => {});
        },
      };
    } catch (error) {
      listener.close();
      throw error;
    }
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

/** Only a socket that was left behind is replaced. */
async function makeRoom(path: string): Promise<void> {
  const there = await Deno.lstat(path).catch(() => null);
  if (there === null || there.isSocket) return;
  throw new Error(`${path} is no socket: remove it`);
}

/** The file is for its owner alone; whoever can read it may ask. */
async function listenPort(path: string): Promise<AdminListener> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const token = crypto.getRandomValues(new Uint8Array(32)).toHex();
    const text = JSON.stringify({ port: listener.addr.port, token });
    await Deno.remove(`${path}.new`).catch(() => {});
    await Deno.writeTextFile(`${path}.new`, text, { mode: 0o600, createNew: true });
    await Deno.rename(`${path}.new`, path);
    return {
      listener,
      token,
      async [Symbol.asyncDispose]() {
        listener.close();
        const there = await Deno.readTextFile(path).catch(() => null);
        if (there === text) await Deno.remove(path).catch(() => {});
      },
    };
  } catch (error) {
    listener.close();
    throw error;
  }
}

/** Why there is none, in words. */
export function reasonOf(error: unknown): string {
  return error instanceof Deno.errors.NotCapable ? "it has not the permission for it" : osReason(error);
}
