import "fake-indexeddb/auto";
import { deleteDB } from "idb";

/** An IndexedDB database in memory that is gone after the test. */
export function temporaryDatabase(): AsyncDisposable & { readonly name: string } {
  const name = crypto.randomUUID();
  return { name, [Symbol.asyncDispose]: () => deleteDB(name) };
}
