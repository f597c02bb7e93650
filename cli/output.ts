/**
 * Writes all of the bytes to the standard output. Throws an `Error` that says so when nobody reads it any more, which
 * `console.log` passes over.
 */
export async function writeOutput(bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  } catch (cause) {
    if (!(cause instanceof Deno.errors.BrokenPipe)) throw cause;
    throw new Error("nobody reads the standard output any more", { cause });
  }
}
