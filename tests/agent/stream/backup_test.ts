import { assertEquals } from "@std/assert";
import { readBackup, writeBackup } from "../../../agent/backup.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { nextOffer, streamPair } from "../../support/streams.ts";

Deno.test("a backup says what streams there were, and nothing of them goes on from it", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const store = new MemoryStore();
  await using pair = await streamPair(server, { a: { store } });
  await Deno.writeTextFile(`${folder.path}/from`, "secret");
  await pair.alice.agent.sendFile("b", `${folder.path}/from`);
  await nextOffer(pair.bob);
  const streamsOf = async (of: MemoryStore) => (await of.connections())[0]!.session!.keys.streams;
  assertEquals((await streamsOf(store))!.map(({ file }) => file!.path), [`${folder.path}/from`]);
  const passphrase = "of the backup", copy = new MemoryStore();
  await readBackup(copy, writeBackup(store, { passphrase, iterations: 1 }), { passphrase });
  assertEquals(await streamsOf(copy), undefined);
});
