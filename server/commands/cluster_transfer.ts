import { counted } from "../../cli/counted.ts";
import { type ContentOptions, fillCluster, readContent } from "../cluster/content.ts";
import { EngineError, PartitionDamagedError, PartitionLostError } from "../cluster/error.ts";
import { engineOf } from "../cluster/engine_settings.ts";
import type { ServerConfig } from "../config/config.ts";
import { withStoppedStores } from "../store/durable.ts";
import { StoreError } from "../store/error.ts";
import { handshakesPath, readHandshakes } from "../store/handshake_log.ts";
import { conversionPath, workersPath } from "../store/places.ts";
import { type ContentPart, writeParts } from "../workers/transfer.ts";
import { exists, identityOf, readFile } from "./files.ts";
import { writeNewFile } from "./new_file.ts";
import { lockKeyFile } from "./key_file.ts";
import { Fatal, messageOf, type Terminal } from "./terminal.ts";
import { exported, makeEmpty } from "./transfer.ts";

type Settings = ServerConfig & { readonly clusterServers: string };

/** `cluster export`: writes what a cluster has as the files of one process. */
export async function exportCluster(
  settings: Settings,
  directory: string,
  { print, warn }: Pick<Terminal, "print" | "warn">,
): Promise<void> {
  const { keyFile } = settings;
  // A node of this machine may have locked it.
  const text = await readFile(keyFile);
  if (text === null) throw new Fatal(`There is no ${keyFile} to export`);
  const { keyHash } = await identityOf(keyFile, text);
  await makeEmpty(directory);
  const to = exported(directory);
  const handshakes: number[][] = [];
  const { nodes, counts } = await failing(() =>
    readContent(optionsOf(settings, keyHash, warn), async ({ nodes, partitions }) => {
      const parts = async function* (): AsyncGenerator<ContentPart> {
        for await (const state of partitions) {
          handshakes.push([...state.handshakes.digests()]);
          yield state;
        }
      };
      const counts = await writeParts({ storeLog: to.storeLogFile, messagesFile: to.messagesFile }, {
        parts: parts(),
        async handshakes(file) {
          for (const digest of inTurns(handshakes)) {
            file.add(digest.toString(36));
            await file.drain();
          }
        },
      });
      return { nodes, counts };
    })
  );
  // Last: a directory with a key is complete.
  await writeNewFile(to.keyFile, text);
  print(
    `exported the key, ${counted(counts.queues, "queue")} and ${
      counted(counts.messages, "message")
    } to ${directory}`,
  );
  if (nodes.length > 0) {
    print(`a backup alone: ${nodes.join(", ")} may have stored more since; to move, stop all nodes first`);
  }
  print("keep it secret: whoever has the key can pretend to be the server");
}

/** `cluster import`: fills a cluster with what was exported. */
export async function importCluster(
  settings: Settings,
  directory: string,
  { print, warn }: Pick<Terminal, "print" | "warn">,
): Promise<void> {
  const from = exported(directory);
  using key = await lockKeyFile(from.keyFile, {
    taken: `Cannot import: a server is running with ${from.keyFile}; stop it first`,
  });
  if (key === null) throw new Fatal(`There is no ${from.keyFile}: ${directory} is not an exported server`);
  const { keyHash } = await identityOf(from.keyFile, key.text);
  for (const path of [workersPath(from.storeLogFile), conversionPath(from.storeLogFile)]) {
    if (await exists(path)) throw new Fatal(`Cannot import: ${path} is of workers; export that server first`);
  }
  const { clusterName, clusterPartitions: partitions } = settings;
  const counts = await failing(async () => {
    const paths = { storeLog: from.storeLogFile, messagesFile: from.messagesFile };
    return await withStoppedStores(paths, Date.now(), async ({ queues, messages, storeLog }) => {
      if (queues.size === 0) throw new Fatal(`Cannot import ${directory}: there are no queues in it`);
      const handshakes = (await readHandshakes(handshakesPath(storeLog))).digests();
      await fillCluster({ ...optionsOf(settings, keyHash, warn), partitions }, {
        queues,
        messages,
        handshakes,
      });
      return { queues: queues.size, messages: messages.size };
    });
  });
  print(
    `imported ${counted(counts.queues, "queue")} and ${
      counted(counts.messages, "message")
    } into cluster ${clusterName}`,
  );
  print(`each of its nodes needs ${from.keyFile} as its key`);
}

function optionsOf(
  settings: Settings,
  keyHash: string,
  warn: Terminal["warn"],
): ContentOptions {
  return {
    engine: engineOf(settings, settings.clusterServers),
    cluster: settings.clusterName,
    keyHash,
    log: (level, message, error) => {
      if (level === "warn") warn(error === undefined ? message : `${message}: ${messageOf(error)}`);
    },
    signal: new AbortController().signal,
  };
}

async function failing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isKnown = error instanceof EngineError || error instanceof RangeError ||
      error instanceof StoreError || error instanceof PartitionLostError ||
      error instanceof PartitionDamagedError;
    throw isKnown ? new Fatal(messageOf(error)) : error;
  }
}

/** Of lists that are in order, each as far as the others: the oldest handshakes are the first that are forgotten. */
function* inTurns(lists: readonly (readonly number[])[]): Generator<number> {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let turn = 1; turn <= longest; turn++) {
    for (const list of lists) {
      const [from, to] = [turn - 1, turn].map((end) => Math.floor(list.length * end / longest));
      yield* list.slice(from, to);
    }
  }
}
