import type { ReplayGuard } from "../guard/replay_guard.ts";
import type { Logger } from "../../cli/logger.ts";
import type { Metrics } from "../observe/metrics.ts";
import { DurableStores } from "../store/durable.ts";
import type { MessageStore, QueueStore } from "../store/store.ts";
import type { StartMessage } from "./messages.ts";

/** What a worker keeps its queues in. */
export interface WorkerStores {
  readonly queues: QueueStore;
  readonly messages: MessageStore;
  readonly replayGuard: ReplayGuard;
  readonly healthy: boolean;
  close(): Promise<void>;
}

/** Files of its own for each worker. */
export async function openWorkerStores(
  { settings, files, repair }: StartMessage,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
): Promise<WorkerStores> {
  const stores = await DurableStores.open({
    storeLog: files.storeLog,
    messagesFile: files.messagesFile,
    messages: settings.messages,
    restoreMessages: settings.restoreMessages,
    fsync: settings.fsync,
    fsyncInterval: settings.fsyncInterval,
    repair,
    metrics,
    log: logger.error,
  });
  for (const notice of stores.notices) logger.info(notice);
  return stores;
}
