import type { Connection, StoreChange } from "../store/store.ts";

/** What must be stored so that `after` is there where `before` was; `null`: nothing was. */
export function changesBetween(before: Connection | null, after: Connection): StoreChange[] {
  const { record, receiving, sending } = after;
  const connection = record.id;
  const changes: StoreChange[] = [];
  if (record !== before?.record) changes.push({ type: "put connection", record });
  for (const route of receiving) {
    const old = before?.receiving.find(({ id }) => id === route.id);
    if (route === old) continue;
    changes.push({ type: "put receiving", connection, route, withKeys: route.keys !== old?.keys });
  }
  for (const route of sending) {
    const old = before?.sending.find(({ id }) => id === route.id);
    if (route === old) continue;
    changes.push({ type: "put sending", connection, route, withKeys: route.keys !== old?.keys });
  }
  return changes;
}
