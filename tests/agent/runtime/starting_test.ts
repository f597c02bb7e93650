import { assertRejects } from "@std/assert";
import { Agent, MemoryStore, StoreError } from "../../../agent/mod.ts";
import { identity } from "../../support/server.ts";

for (const name of ["events", "connections", "prune", "waitingRoutes", "discarded"] as const) {
  Deno.test(`an agent whose store cannot be read (${name}) does not start, and leaves nothing to be done`, async () => {
    const store = Object.assign(new MemoryStore(), {
      [name]: () => Promise.reject(new StoreError("READ", "Cannot read the store: it is broken")),
    });
    // Keys that are being made and the timer of the retention would be found.
    const options = { servers: [`localhost#${identity.keyHash}`], store, keyPool: 1, retention: 1000 };
    await assertRejects(() => Agent.start(options), StoreError, "it is broken");
  });
}
