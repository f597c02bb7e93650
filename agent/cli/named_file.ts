import { osReason } from "../../cli/os_error.ts";

/** Does something with a file or a folder that somebody has named. Throws an `Error` that says which one, and why not. */
export async function withNamed<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw fileError(action, path, cause);
  }
}

/** The `Error` of a file or a folder of which `action` cannot be done. */
export function fileError(action: string, path: string, cause: unknown): Error {
  const advice = cause instanceof Deno.errors.NotCapable
    ? "; deno task agent has the files below the folder where it is called"
    : "";
  return new Error(`Cannot ${action} ${path}: ${osReason(cause)}${advice}`, { cause });
}
