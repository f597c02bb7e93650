import type { Bucket } from "./bucket.ts";

const key = "import";

/** Whether an import was begun that has not ended: the logs have a part of it, which must not be served. */
export async function isImporting(bucket: Bucket): Promise<boolean> {
  return (await bucket.read(key))?.value === "begun";
}

/** Stores that an import begins, or has ended. Rejects when that is not known to be stored; it may be given again. */
export async function markImport(bucket: Bucket, state: "begun" | "ended"): Promise<void> {
  const entry = await bucket.read(key);
  if (entry?.value === state) return;
  if (await bucket.write(key, state, entry?.revision ?? 0) === null) {
    throw new Error("Cannot store the state of the import: it has changed meanwhile");
  }
}
