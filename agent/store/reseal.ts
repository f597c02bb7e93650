import type { DatabaseSync } from "node:sqlite";
import { placeIn, sealedColumns, type TableName } from "./rows.ts";
import { pages, queryOf } from "./sqlite_reads.ts";
import { Prepared, rollBack } from "./sqlite_writes.ts";
import type { PassphraseRecord, Vault } from "./vault.ts";

type Row = Readonly<Record<string, unknown>> & { readonly place: number };

/** Moves all that is sealed from one vault to another, in one transaction of a connection that nobody else uses. */
export async function reseal(
  database: DatabaseSync,
  { from, to, record }: {
    readonly from: Vault;
    readonly to: Vault;
    /** What is to be kept of the passphrase of `to`. */
    readonly record: PassphraseRecord | null;
  },
): Promise<void> {
  const prepared = new Prepared(database);
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const table of Object.keys(sealedColumns) as TableName[]) {
      const columns: readonly string[] = sealedColumns[table].sealed;
      const text = `UPDATE ${table} SET ${columns.map((name) => `${name} = ?`).join(", ")} WHERE rowid = ?`;
      for (const row of pages<Row>(queryOf((text) => prepared.get(text)), table)) {
        const values = await Promise.all(columns.map(async (column) => {
          const place = placeIn(table, column, row);
          return await to.seal(await from.open(row[column] as Uint8Array<ArrayBuffer>, place), place);
        }));
        prepared.get(text).run(...values, row.place);
      }
    }
    putPassphrase(database, record);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** Keeps what is to be kept of a passphrase, in place of what was kept before. */
export function putPassphrase(database: DatabaseSync, record: PassphraseRecord | null): void {
  if (record === null) return database.exec("DELETE FROM passphrase");
  const { salt, iterations, key } = record;
  const text = "INSERT INTO passphrase (only, salt, iterations, key) VALUES (1, ?, ?, ?) " +
    "ON CONFLICT (only) DO UPDATE SET salt = excluded.salt, iterations = excluded.iterations, key = excluded.key";
  database.prepare(text).run(salt, iterations, key);
}
