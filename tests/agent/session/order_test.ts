import { assertEquals } from "@std/assert";
import { MemoryStore, type MessageRecord, StoreError } from "../../../agent/mod.ts";
import { startServer } from "../../support/server.ts";
import { streamPair } from "../../support/streams.ts";
import { until } from "../../support/wait.ts";

/** A store that cannot read the first message before others have come, nor then, a few times. */
class ForgetfulStore extends MemoryStore {
  failures = 3;

  override async message(connection: string, id: number): Promise<MessageRecord | null> {
    const isEarly = (await super.messages(connection)).length < 4;
    if (id === 1 && (isEarly || this.failures-- > 0)) throw new StoreError("READ", "The disk fails");
    return await super.message(connection, id);
  }
}

Deno.test("messages are told in their order though one could not be read from the store at first", async () => {
  await using server = await startServer();
  const store = new ForgetfulStore();
  await using pair = await streamPair(server, { b: { store } });
  const { alice: sender, bob: receiver } = pair;
  const texts = ["1", "2", "3", "4"];
  for (const text of texts) await sender.send("b", text);
  const got: string[] = [];
  while (got.length < texts.length) got.push(await receiver.text());
  assertEquals(got, texts);
  await until(() => sender.events.filter(({ type }) => type === "delivered").length === texts.length);
});
