import type { Connection, StoreChange } from "../store/store.ts";

/** What must be stored so that `after` is there where `before` was; `null`: nothing was. */
export function changesBetween(before: Connection | null, after: Connection): StoreChange[] {
  const { record, session } = after;
  const connection = record.id;
  const changes: StoreChange[] = [];
  if (record !== before?.record) changes.push({ type: "put connection", record });
  const changed = changedRoutes(before, after);
  for (const put of changed("receiving")) changes.push({ type: "put receiving", connection, ...put });
  for (const put of changed("sending")) changes.push({ type: "put sending", connection, ...put });
  if (session === null && before?.session) changes.push({ type: "delete session", connection });
  if (session !== null && session !== before?.session) {
    const withKeys = session.keys !== before?.session?.keys;
    changes.push({ type: "put session", connection, session, withKeys });
  }
  for (const put of changed("inbound")) changes.push({ type: "put inbound", connection, ...put });
  for (const put of changed("outbound")) changes.push({ type: "put outbound", connection, ...put });
  for (const table of ["receiving", "sending", "inbound", "outbound"] as const) {
    for (const { id } of before?.[table] ?? []) {
      if (after[table].every((route) => route.id !== id)) {
        changes.push({ type: `delete ${table}`, connection, id });
      }
    }
  }
  return changes;
}

type Routes = Pick<Connection, "receiving" | "sending" | "inbound" | "outbound">;

/** The routes of a table that are new or changed, and whether their keys are. */
function changedRoutes(before: Connection | null, after: Connection) {
  return <Table extends keyof Routes>(table: Table) => {
    const former: Routes[Table] | undefined = before?.[table];
    const routes: readonly Routes[Table][number][] = after[table];
    return routes.flatMap((route) => {
      const old = former?.find(({ id }) => id === route.id);
      return route === old ? [] : [{ route, withKeys: route.keys !== old?.keys }];
    });
  };
}
