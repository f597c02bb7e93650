import type { WritableFile } from "@simplexmq/smp/agent";
import type { FileStore } from "./file_store.ts";

/** Bytes up to which a file is in memory until all of it is there, and of the parts in which others are stored. */
const mostInMemory = 8 * 1024 * 1024, partLength = 1024 * 1024;

/** Bytes of a file that are kept when it cannot be stored. */
const mostUnstored = 512 * 1024 * 1024;

/** Writes what comes, as long as it is not paused: the sender is slowed meanwhile. */
export function incomingFile(target: WritableFile, resumed: () => AbortSignal | null): WritableFile {
  const writer = target.getWriter();
  return new WritableStream<Uint8Array>({
    async write(bytes, { signal }) {
      for (let waiting; (waiting = resumed()) !== null && !waiting.aborted && !signal.aborted;) {
        await aborted(AbortSignal.any([waiting, signal]));
      }
      await writer.write(bytes);
    },
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
  });
}

/** Adds to a file of a store. What was not stored when it is aborted comes again; it is closed when all is there and right. */
export function keptFile(
  store: FileStore,
  { key, size }: { readonly key: string; readonly size: number | null },
): WritableFile {
  const most = size !== null && size <= mostInMemory ? mostInMemory : partLength;
  let waiting: Uint8Array<ArrayBuffer>[] = [], length = 0;
  const write = async () => {
    if (store.get(key)?.status !== "going") throw new Error("the file is not wanted any more");
    if (!store.lasts(key) && store.content(key).size > mostUnstored) {
      throw new DOMException("the page has no room for the file", "QuotaExceededError");
    }
    const part = new Blob(waiting);
    waiting = [];
    length = 0;
    if (part.size > 0 || !store.hasContent(key)) await store.append(key, part);
  };
  return new WritableStream<Uint8Array>({
    async write(bytes) {
      waiting.push(bytes.slice());
      length += bytes.length;
      if (length >= most) await write();
    },
    async close() {
      await write();
      const entry = store.get(key);
      if (entry !== undefined) await store.put({ ...entry, isWhole: true });
    },
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
