import { assert, assertEquals } from "@std/assert";
import type { ClientCommand } from "../../../protocol/mod.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { loadMessages } from "../../../server/store/message_journal.ts";
import { loadStoreLog } from "../../../server/store/store_log.ts";
import { type CommandOptions, keys, rsaSigner, TestBroker, type TestQueue } from "../../support/broker.ts";
import { openStores, storePaths, temporaryFolder } from "../../support/durable.ts";

const another = await rsaSigner();
const odd = await rsaSigner(1536);

interface Refusal {
  readonly name: string;
  readonly queue: "open" | "secured" | "suspended" | "full";
  readonly command: string | ClientCommand;
  readonly options?: CommandOptions;
  readonly error: string;
}

const key = (senderKey = another.publicKey): ClientCommand => ({ type: "KEY", senderKey });
const create = (recipientKey = another.publicKey): ClientCommand => ({ type: "NEW", recipientKey });

/** Every way in which a command can be refused after it was parsed. */
const refusals: readonly Refusal[] = [
  { name: "a second KEY", queue: "secured", command: key(), error: "AUTH" },
  { name: "KEY by a stranger", queue: "open", command: key(), options: { key: keys.other }, error: "AUTH" },
  {
    name: "KEY with the sender's ID",
    queue: "open",
    command: key(),
    options: { queueId: "sender" },
    error: "AUTH",
  },
  { name: "KEY of another size", queue: "open", command: key(odd.publicKey), error: "CMD KEY_SIZE" },
  {
    name: "NEW by another key",
    queue: "open",
    command: create(),
    options: { key: keys.other, queueId: "" },
    error: "AUTH",
  },
  {
    name: "NEW of another size",
    queue: "open",
    command: create(odd.publicKey),
    options: { key: odd, queueId: "" },
    error: "CMD KEY_SIZE",
  },
  ...["SUB", "ACK", "OFF", "DEL"].map((command): Refusal => ({
    name: `${command} by the sender`,
    queue: "secured",
    command,
    options: { key: keys.sender },
    error: "AUTH",
  })),
  { name: "ACK without a message", queue: "open", command: "ACK", error: "NO_MSG" },
  { name: "a signed SEND", queue: "open", command: "SEND x", options: { key: keys.sender }, error: "AUTH" },
  { name: "an unsigned SEND", queue: "secured", command: "SEND x", error: "AUTH" },
  { name: "SEND to a suspended queue", queue: "suspended", command: "SEND x", error: "AUTH" },
  {
    name: "SEND to a full queue",
    queue: "full",
    command: "SEND x",
    options: { key: keys.sender },
    error: "QUOTA",
  },
  { name: "SEND of too much", queue: "open", command: `SEND ${"x".repeat(4040)}`, error: "SIZE" },
  {
    name: "DEL of no queue",
    queue: "open",
    command: "DEL",
    options: { queueId: "AAAAAAAAAAAAAAAA" },
    error: "AUTH",
  },
];

for (const { name, queue: state, command, options, error } of refusals) {
  Deno.test(`${name} is refused with ${error} and leaves nothing in the logs`, async () => {
    await using folder = await temporaryFolder();
    const { storeLog, messagesFile } = storePaths(folder.path);
    const texts = () => Promise.all([storeLog, messagesFile].map((path) => Deno.readTextFile(path)));
    await using stores = await openStores(folder.path);
    const { queues, messages } = stores;
    const test = new TestBroker({ queues, messages, limits: () => checkLimits({ messagesPerQueue: 2 }) });
    const alice = test.connect();
    const queue = await alice.create();
    await prepare[state](test, queue);
    alice.take();
    const before = await texts();
    const queueId = options?.queueId === "sender" ? queue.senderId : options?.queueId;
    const [answer] = await alice.ask(queue, command, {
      ...options,
      ...(queueId !== undefined && { queueId }),
    });
    assert(answer?.endsWith(`ERR ${error}`), answer);
    assertEquals(await texts(), before);
    // Read again, as after a crash, the files give what was there before.
    const [reread, journal] = [await loadStoreLog(storeLog, 0), await loadMessages(messagesFile)];
    const records = [...queues.records() as Iterable<{ senderId: string; suspended: boolean }>];
    const live = records.filter(({ suspended }) => !suspended).map(({ senderId }) => senderId);
    assertEquals([...reread.memory.records()].map(({ senderId }) => senderId), live);
    assertEquals([reread.problems, journal.problems, journal.memory.size], [[], [], messages.size]);
  });
}

const prepare: Record<Refusal["queue"], (test: TestBroker, queue: TestQueue) => Promise<unknown>> = {
  open: () => Promise.resolve(),
  secured: (test, queue) => test.connect().ask(queue, "KEY"),
  suspended: (test, queue) => test.connect().ask(queue, "OFF"),
  full: async (test, queue) => {
    const other = test.connect();
    await other.ask(queue, "KEY");
    for (const text of ["1", "2"]) await other.ask(queue, `SEND ${text}`, { key: keys.sender });
  },
};
