import { assertEquals } from "@std/assert";
import { MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { deferred } from "../../protocol/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { streamPair } from "../support/streams.ts";
import { soon, until } from "../support/wait.ts";

/** A store that says what happens to it, and stores nothing from when it is held until it is let go on. */
class OrderedStore extends MemoryStore {
  readonly order: string[] = [];
  readonly #begun = deferred<void>();
  readonly #going = deferred<void>();
  #isHeld = false;

  /** From now on nothing is stored; resolves when something is to be. */
  hold(): Promise<void> {
    this.#isHeld = true;
    return this.#begun.promise;
  }

  goOn(): void {
    this.#going.resolve();
  }

  override async commit(changes: readonly StoreChange[]): Promise<void> {
    if (this.#isHeld) {
      this.#begun.resolve();
      await this.#going.promise;
    }
    await super.commit(changes);
    if (this.#isHeld) this.order.push("stored");
  }

  override [Symbol.asyncDispose](): Promise<void> {
    this.order.push("closed");
    return super[Symbol.asyncDispose]();
  }
}

Deno.test("when an agent is closed nothing of it runs any more, whatever it was about", async () => {
  await using server = await startServer();
  const down = await startServer();
  const a = await TestAgent.start(down.address);
  const { invitation } = await a.agent.create("b");
  await a[Symbol.asyncDispose]();
  await down.stop();
  const { subtle } = crypto;
  const own = { sign: subtle.sign, encrypt: subtle.encrypt, decrypt: subtle.decrypt, verify: subtle.verify };
  let running = 0, begun = 0;
  const counted = Object.fromEntries(
    Object.entries(own).map(([name, work]) => [
      name,
      (...args: unknown[]) => {
        running++;
        begun++;
        return (work as (...args: unknown[]) => Promise<unknown>).apply(subtle, args).finally(() =>
          running--
        );
      },
    ]),
  );
  Object.assign(subtle, counted);
  try {
    for (let i = 0; i < 20; i++) {
      const before = begun;
      const b = await TestAgent.start(server.address, { retry: { first: 1, most: 2 } });
      await b.agent.join(invitation);
      await until(() => begun > before + i % 4);
      await b.agent.close();
      assertEquals(running, 0, `after ${i} agents`);
    }
  } finally {
    // Not deleted: others of this process may use private keys in another way (tests/support/prefer_openssl.ts).
    Object.assign(subtle, own);
  }
});

for (
  const [what, command] of Object.entries({
    "the offer of a stream": ({ agent }: TestAgent) => agent.offerStream("b").then(() => {}),
    "the end of a stream": ({ agent }: TestAgent) => agent.streams()[0]!.cancel(),
    "the end of a connection": ({ agent }: TestAgent) => agent.delete("b"),
  })
) {
  Deno.test(`${what} that is being stored when the agent is closed is stored before the store is closed`, async () => {
    await using server = await startServer();
    const store = new OrderedStore();
    await using pair = await streamPair(server, { a: { store } });
    const { alice, bob } = pair;
    await alice.agent.offerStream("b");
    await bob.agent.close();
    const held = store.hold();
    const done = command(alice).then(() => true, () => true);
    await soon(held);
    const closed = alice.agent.close();
    // All else has ended.
    await until(() => server.connections === 0);
    store.goOn();
    await soon(closed);
    assertEquals(store.order, ["stored", "closed"]);
    await soon(done);
  });
}
