import { assertEquals } from "@std/assert";
import { newConnection } from "../../../agent/core/connection.ts";
import { Connections } from "../../../agent/core/connections.ts";

Deno.test("a connection is not found by the ID of an earlier one that had its alias", () => {
  const make = () => newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true });
  const [first, second] = [make(), make()];
  const connections = new Connections();
  connections.set(first);
  connections.remove(first);
  connections.set(second);
  assertEquals(connections.find(first.record.id), undefined);
  assertEquals(connections.get("x"), second);
});
