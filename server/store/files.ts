import type { ReplayGuard } from "../guard/replay_guard.ts";
import { Metrics } from "../observe/metrics.ts";
import { DurableStores } from "./durable.ts";
import type { MessageStore, QueueStore } from "./store.ts";

/** How queues and messages are kept in files. */
export interface FileStoresOptions {
  /** Folder of the files, which is made when it is not there. */
  readonly directory: string;
  /** Counts what is written; also given to the server. */
  readonly metrics?: Metrics;
  /** Is told about failures that no caller hears of. @default nobody is */
  readonly log?: (message: string, error?: unknown) => void;
}

/** The options of `SmpServer.start` that say where queues and messages are kept; to be closed after the server. */
export interface FileStores extends AsyncDisposable {
  /** Queues with their keys. */
  readonly queues: QueueStore;
  /** Messages that wait for their recipients. */
  readonly messages: MessageStore;
  /** Remembers the handshakes of this server, also of earlier runs. */
  readonly replayGuard: ReplayGuard;
}

/**
 * Keeps queues and messages in files of a folder, which one server at a time can use (docs/files.md). What was answered
 * with `OK` is there after a crash of the program; a power cut may take what was written in the last second.
 * Throws an `Error` that says which file and what to do when the files cannot be used.
 */
export async function openFileStores(
  { directory, metrics = new Metrics(), log = () => {} }: FileStoresOptions,
): Promise<FileStores> {
  return await DurableStores.open({
    storeLog: `${directory}/store.log`,
    messagesFile: `${directory}/messages.log`,
    messages: "journal",
    restoreMessages: true,
    fsync: "interval",
    fsyncInterval: 1000,
    metrics,
    log,
  });
}
