import { readLine, writeLine } from "./lines.ts";
import { type AdminReply, type AdminRequest, readReply } from "./messages.ts";
import { type AdminPlace, checkPath, readPortFile } from "./place.ts";

/** Bytes; the status of a node of a large cluster is the longest one. */
const longestReply = 4_194_304;
/** Milliseconds; `reload` waits for workers. */
const replyTime = 30_000;

/** What a server or an agent has answered. */
export interface Asked<Status> extends Disposable {
  readonly reply: AdminReply<Status>;
  /** Resolves when it has closed the connection: after `stop`, when it has stopped. Rejects when the signal aborts. */
  ended(): Promise<void>;
}

/**
 * Asks the server or agent at `place`, which `Status` is the status of; `null`: there is none.
 * Throws what the system says, `Error` when it does not answer, and the signal's reason.
 */
export async function ask<Status>(
  place: AdminPlace,
  request: AdminRequest,
  { timeout = replyTime, signal }: { readonly timeout?: number; readonly signal?: AbortSignal } = {},
): Promise<Asked<Status> | null> {
  const opened = await connect(place);
  if (opened === null) return null;
  const { connection, token } = opened;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    connection.close();
  }, timeout);
  const cut = () => closeQuietly(connection);
  signal?.addEventListener("abort", cut, { once: true });
  const close = () => {
    signal?.removeEventListener("abort", cut);
    cut();
  };
  try {
    signal?.throwIfAborted();
    await writeLine(connection, { ...request, ...(token !== null && { token }) });
    const line = await readLine(connection, longestReply);
    if (line === null) throw new Error(`the ${place.program} closed the connection without an answer`);
    const reply = readReply<Status>(line);
    return {
      reply,
      async ended() {
        await ended(connection);
        signal?.throwIfAborted();
      },
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    signal?.throwIfAborted();
    throw isLate ? new Error(`the ${place.program} did not answer within ${timeout / 1000} s`) : error;
  } finally {
    clearTimeout(timer);
  }
}

async function connect(
  { kind, path }: AdminPlace,
): Promise<{ readonly connection: Deno.Conn; readonly token: string | null } | null> {
  try {
    if (kind === "socket") {
      checkPath(path);
      return { connection: await Deno.connect({ transport: "unix", path }), token: null };
    }
    const { port, token } = await readPortFile(path);
    return { connection: await Deno.connect({ hostname: "127.0.0.1", port }), token };
  } catch (error) {
    const isNone = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused ||
      // It has closed the socket in this moment.
      error instanceof Deno.errors.ConnectionReset;
    if (isNone) return null;
    throw error;
  }
}

async function ended(connection: Deno.Conn): Promise<void> {
  const rest = new Uint8Array(1_024);
  try {
    while (await connection.read(rest) !== null);
  } catch {
    // It was reset.
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
