/** What another process does with a database; prints one line. */
import { DatabaseSync } from "node:sqlite";
import { SqliteStore, StoreError } from "../../../agent/store/sqlite.ts";

const [task, path, other] = Deno.args as [string, string, string];

async function run(): Promise<string> {
  switch (task) {
    case "hold":
      await SqliteStore.open(path);
      return "open";
    case "open": {
      await using _store = await SqliteStore.open(path);
      return "open";
    }
    case "passphrase": {
      await using store = await SqliteStore.open(path, { iterations: 1000 });
      for (const next of ["one", "two", null]) await store.changePassphrase(next);
      return "changed";
    }
    case "flip": {
      await using store = await SqliteStore.open(path, { iterations: 1 });
      // Until it is killed.
      for (let i = 0;; i++) {
        await store.changePassphrase(i % 2 === 0 ? "one" : null);
        if (i === 2) await Deno.writeTextFile(other, "");
      }
    }
    case "read": {
      let count = 0;
      for await (const _ of (await SqliteStore.openForReading(path)).snapshot()) count++;
      return String(count);
    }
    case "exclusive": {
      // As the first version of the agent did.
      using database = new DatabaseSync(path, { timeout: 0 });
      database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      database.exec("BEGIN EXCLUSIVE");
      return "exclusive";
    }
    case "copy": {
      using database = new DatabaseSync(path, { readOnly: true });
      database.prepare("VACUUM INTO ?").run(other);
      return "copied";
    }
    default:
      throw new Error(`there is no task "${task}"`);
  }
}

// deno-lint-ignore no-console
console.log(await run().catch((error) => error instanceof StoreError ? error.code : String(error.message)));
// Until it is killed.
if (task === "hold") setInterval(() => {}, 1_000_000);
