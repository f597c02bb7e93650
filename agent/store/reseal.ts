import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { placeIn, sealedColumns, type TableName } from "./rows.ts";
import { schema } from "./schema.ts";
import { pages, queryOf } from "./sqlite_reads.ts";
import { commit, Prepared, rollBack } from "./sqlite_writes.ts";
import type { PassphraseRecord, Vault } from "./vault.ts";

type Row = Readonly<Record<string, SQLInputValue>>;

/**
 * Moves all that is sealed from one vault to another, in one transaction of a connection that nobody else uses. Rows go to
 * new tables, as `secure_delete` overwrites all of a page that becomes free, but not all that was ever in one that stays
 * (and `VACUUM` needs more permissions than a program of Deno may have).
 */
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
  const query = queryOf((text) => prepared.get(text));
  const tables = Object.keys(sealedColumns) as TableName[];
  database.exec("BEGIN IMMEDIATE");
  try {
    setAside(database, [...tables, "passphrase"]);
    database.exec(schema);
    for (const table of tables) {
      const sealed: readonly string[] = sealedColumns[table].sealed;
      for (const { place: _, ...row } of pages<Row>(query, `old_${table}`)) {
        const values = await Promise.all(
          Object.entries(row).map(async ([column, value]) => {
            if (!sealed.includes(column)) return value;
            const place = placeIn(table, column, row);
            return await to.seal(await from.open(value as Uint8Array<ArrayBuffer>, place), place);
          }),
        );
        const columns = Object.keys(row);
        const text = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${
          columns.map(() => "?").join(", ")
        })`;
        prepared.get(text).run(...values);
      }
    }
    if (record !== null) putPassphrase(database, record);
    for (const table of ["passphrase", ...tables.toReversed()]) database.exec(`DROP TABLE old_${table}`);
    commit(database);
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** Makes room for tables, indexes and triggers of the same names. */
function setAside(database: DatabaseSync, tables: readonly string[]): void {
  const query = "SELECT type, name FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL";
  for (const { type, name } of database.prepare(query).all()) database.exec(`DROP ${type} "${name}"`);
  for (const table of tables) database.exec(`ALTER TABLE ${table} RENAME TO old_${table}`);
}

/** Keeps what is to be kept of a passphrase, in place of what was kept before. */
export function putPassphrase(
  database: DatabaseSync,
  { salt, iterations, key }: PassphraseRecord,
): void {
  const text = "INSERT INTO passphrase (only, salt, iterations, key) VALUES (1, ?, ?, ?) " +
    "ON CONFLICT (only) DO UPDATE SET salt = excluded.salt, iterations = excluded.iterations, key = excluded.key";
  database.prepare(text).run(salt, iterations, key);
}
