import { assertEquals, assertRejects } from "@std/assert";
import { newConnection } from "../../../agent/core/connection.ts";
import { Connections } from "../../../agent/core/connections.ts";
import { AgentError } from "../../../agent/protocol/error.ts";

const made = () => newConnection({ alias: "x", createdAt: 0, role: "joiner", reply: true });

Deno.test("an alias is kept while a connection is made and while it is there, and for no longer", async () => {
  const connections = new Connections();
  const make = (fails: boolean) =>
    connections.reserving("x", async () => {
      const second = await assertRejects(() => connections.reserving("x", fail), AgentError);
      assertEquals(second.code, "CONN DUPLICATE");
      if (fails) await fail();
      connections.set(made());
    });
  const fail = () => Promise.reject(new Error("the server is down"));
  await assertRejects(() => make(true), Error, "the server is down");
  await make(false);
  const third = await assertRejects(() => make(false), AgentError);
  assertEquals(third.code, "CONN DUPLICATE");
  connections.remove(connections.get("x"));
  await make(false);
});

Deno.test("tasks of a connection are done one after the other, also behind one that fails", async () => {
  const connections = new Connections();
  const done: string[] = [];
  const task = (name: string) => async () => {
    done.push(`${name} begins`);
    await Promise.resolve();
    done.push(`${name} ends`);
    if (name === "one") throw new Error("the disk is full");
    return name;
  };
  const [one, two, three] = await Promise.allSettled([
    connections.serially("x", task("one")),
    connections.serially("x", task("two")),
    connections.serially("x", task("three")),
  ]);
  assertEquals(one!.status, "rejected");
  assertEquals([two, three], [
    { status: "fulfilled", value: "two" },
    { status: "fulfilled", value: "three" },
  ]);
  assertEquals(done, ["one", "two", "three"].flatMap((name) => [`${name} begins`, `${name} ends`]));
});
