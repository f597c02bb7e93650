import { Fatal } from "../commands/terminal.ts";
import { osReason } from "../../cli/os_error.ts";

/** Bytes of a Unix socket's path: 108 on Linux, with the zero at its end. */
const longestPath = 100;

/** A private folder for the Unix sockets between workers, which is gone when this is disposed. */
export interface SocketFolder extends AsyncDisposable {
  readonly path: string;
  /** The sockets' full paths, one for each worker. */
  readonly names: readonly string[];
}

export function socketPath(folder: string, worker: number): string {
  return `${folder}/${worker}`;
}

/**
 * Makes the first of the folders that can be had, anew, as a server that was killed leaves its own behind; whoever
 * calls has locked what they are named after. Throws `Fatal`.
 */
export async function makeSocketFolder(wanted: readonly string[], workers: number): Promise<SocketFolder> {
  let reason = "";
  for (const folder of wanted) {
    try {
      return await makeFolder(folder, workers);
    } catch (error) {
      reason ||= osReason(error);
    }
  }
  throw new Fatal(`Cannot make a folder for the workers' sockets: ${reason}`);
}

async function makeFolder(wanted: string, workers: number): Promise<SocketFolder> {
  await Deno.remove(wanted, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(wanted, { mode: 0o700 });
  const folder = {
    path: await Deno.realPath(wanted),
    async [Symbol.asyncDispose]() {
      await Deno.remove(wanted, { recursive: true }).catch(() => {});
    },
  };
  const names = Array.from({ length: workers }, (_, worker) => socketPath(folder.path, worker));
  const length = new TextEncoder().encode(names.at(-1)!).length;
  if (length <= longestPath) return { ...folder, names };
  await folder[Symbol.asyncDispose]();
  throw new Error(`${folder.path} is too long for the path of a socket: ${length} bytes, not ${longestPath}`);
}
