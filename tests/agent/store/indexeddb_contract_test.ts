import { IndexedDbStore } from "../../../agent/store/indexeddb.ts";
import { temporaryDatabase } from "../../support/indexeddb.ts";
import { testAgentStore } from "./contract.ts";

for (
  const [kind, options] of [
    ["IndexedDB", {}],
    ["IndexedDB with passphrase", { passphrase: "correct horse", iterations: 1000 }],
  ] as const
) {
  testAgentStore(kind, async (test) => {
    await using database = temporaryDatabase();
    await using store = await IndexedDbStore.open(database.name, options);
    await test(store);
  }, { permissions: "none" });
}
