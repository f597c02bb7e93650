import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream";

/**
 * Why a stream of NATS cannot have what must not be lost; `null`: it can. It may have been made, or changed, by somebody
 * else than a node.
 */
export function lossOf(config: Partial<StreamConfig>): string | null {
  const isDropping = config.discard === DiscardPolicy.Old;
  if (config.storage !== StorageType.File) return "its storage is not file";
  if (config.retention !== RetentionPolicy.Limits) return `its retention is ${config.retention}, not limits`;
  if (isPositive(config.max_age)) return "it has a max_age";
  if (isPositive(config.max_msgs_per_subject)) return "it has max_msgs_per_subject";
  if (isPositive(config.max_msgs) && isDropping) return "it has max_msgs, and discards what is old";
  if (isPositive(config.max_bytes) && isDropping) return "it has max_bytes, and discards what is old";
  return null;
}

function isPositive(limit = 0): boolean {
  return limit > 0;
}
