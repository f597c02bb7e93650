import type { Bucket } from "./bucket.ts";
import { EngineError } from "./error.ts";

/** What all nodes of a cluster have in common. */
export interface ClusterIdentity {
  /** Base64 of SHA-256 over the public `server_key`. */
  readonly keyHash: string;
  /** A power of two. */
  readonly partitions: number;
}

const key = "cluster";

/**
 * Stores what the cluster's nodes have in common when this is the first, else compares it. Throws `EngineError`
 * (`OTHER_CLUSTER`), or what the bucket throws.
 */
export async function checkCluster(bucket: Bucket, { keyHash, partitions }: ClusterIdentity): Promise<void> {
  const own = JSON.stringify({ keyHash, partitions });
  // The first write may have been done although it failed.
  const found = await bucket.read(key) ??
    (await bucket.write(key, own, 0) === null ? await bucket.read(key) : null);
  if (found === null || found.value === own) return;
  const other = parse(found.value);
  if (other.keyHash !== keyHash) {
    throw new EngineError(
      "OTHER_CLUSTER",
      "Cannot join the cluster: it was made with another server_key: all nodes need the same file; or give this " +
        "cluster another name",
    );
  }
  throw new EngineError(
    "OTHER_CLUSTER",
    `Cannot join the cluster: it has ${other.partitions} partitions, not ${partitions}: all nodes need the same number`,
  );
}

/** What the nodes of a cluster that there is have in common. Throws `EngineError` (`BUCKET`), or what the bucket throws. */
export async function readCluster(bucket: Bucket): Promise<ClusterIdentity> {
  const { keyHash, partitions } = parse((await bucket.read(key))?.value ?? "");
  const isCount = typeof partitions === "number" &&
    [...Array(9).keys()].some((bit) => 2 ** bit === partitions);
  if (typeof keyHash === "string" && isCount) return { keyHash, partitions };
  throw new EngineError("BUCKET", "No node has joined this cluster yet");
}

function parse(text: string): { readonly keyHash?: unknown; readonly partitions?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // It is another key's as well.
  }
  return {};
}
