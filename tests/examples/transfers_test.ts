import { assertEquals } from "@std/assert";
import type { Agent } from "../../agent/mod.ts";
import { type FileEntry, FileStore, keyOf } from "../../examples/web-chat/page/file_store.ts";
import { Transfers } from "../../examples/web-chat/page/transfers.ts";
import "../support/indexeddb.ts";

/** Of an agent that has no streams any more. */
const agent = { streams: () => [], connections: () => [] } as unknown as Agent;

Deno.test("a file that nobody has accepted is not received when its page is opened again", {
  permissions: "none",
}, async () => {
  const store = await FileStore.open(false);
  const entry = (id: string, status: FileEntry["status"]): FileEntry => ({
    ...{ id, conversation: "c", direction: "receiving", status, name: "empty", type: "", size: 0, at: 0 },
    key: keyOf({ conversation: "c", direction: "receiving", id }),
    ...{ after: 0, isPaused: false, note: "", isElsewhere: false },
  });
  for (const one of [entry("offered", "offered"), entry("begun", "going"), entry("whole", "going")]) {
    await store.put(one);
  }
  await store.append(entry("whole", "going").key, new Blob());
  const transfers = new Transfers(agent, store, () => {});
  try {
    assertEquals(transfers.of("c").map(({ id, status }) => [id, status]), [
      ["offered", "ended"],
      ["begun", "ended"],
      ["whole", "done"],
    ]);
  } finally {
    transfers.close();
  }
});
