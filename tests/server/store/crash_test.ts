import { assert, assertEquals } from "@std/assert";
import { encodeBase64, encodePublicKeyText, randomBytes } from "../../../protocol/mod.ts";
import type { DurableStores } from "../../../server/store/durable.ts";
import type { QueueRecord } from "../../../server/store/store.ts";
import { fakeSigner } from "../../support/broker.ts";
import { copyFolder, CrashDisk } from "../../support/crash_disk.ts";
import { openStores, temporaryFolder } from "../../support/durable.ts";

/** What a queue is to its clients: its sender's key, whether it is suspended, and the IDs of its messages. */
type Content = Record<string, { key: string | null; suspended: boolean; messages: string[] }>;

const id = () => encodeBase64(randomBytes(12));
const permissions = { read: true, write: true };
/** Some of these are more than the journal may hold of what is no longer true. */
const bodyLength = 12_000;

/** Reads all content of stores, whose messages are removed. */
async function contentOf({ queues, messages }: DurableStores): Promise<Content> {
  const content: Content = {};
  for await (const { recipientId, senderKey, suspended } of queues.records()) {
    const key = senderKey && encodePublicKeyText(senderKey);
    const queue = content[recipientId] = { key, suspended, messages: [] as string[] };
    for (let first; (first = await messages.first(recipientId)) !== undefined;) {
      assertEquals(first.body.length, bodyLength);
      queue.messages.push(first.id);
      await messages.remove(recipientId, first.id);
    }
  }
  return content;
}

Deno.test("a crash between any two operations on files loses nothing that was answered", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const live = `${folder.path}/live`;
  const [a, b] = [1, 2].map((): QueueRecord => ({
    recipientId: id(),
    senderId: id(),
    recipientKey: fakeSigner().publicKey,
    senderKey: null,
    suspended: false,
    changedAt: 0,
  }));
  const sent: string[] = Array.from({ length: 12 }, id);
  const content: Content = {};
  const newContent = () => ({ key: null as string | null, suspended: false, messages: [] as string[] });

  /** The content after each step, of which `answered` have ended. */
  const after: Content[] = [{}];
  let answered = 0;
  const step = async (change: () => void, work: Promise<unknown>) => {
    change();
    after.push(structuredClone(content));
    await work;
    answered++;
  };

  let crashes = 0, compactions = 0;
  const between = async () => {
    const copy = `${folder.path}/copy`;
    await copyFolder(live, copy);
    for await (const { name } of Deno.readDir(copy)) if (name.endsWith(".compact")) compactions++;
    const stores = await openStores(copy);
    const found = JSON.stringify(await contentOf(stores));
    await stores.close();
    await Deno.remove(copy, { recursive: true });
    const right = after.slice(answered, answered + 2).map((content) => JSON.stringify(content));
    assert(right.includes(found), `${found}\nis none of\n${right.join("\n")}`);
    crashes++;
  };
  const io = () => new CrashDisk({ between, largestWrite: 7_000 });
  const open = () => openStores(live, { io: io(), smallestJournal: 65_536 });

  for (let run = 0; run < 2; run++) {
    const stores = await open();
    const { queues, messages } = stores;
    const send = (queue: QueueRecord, messageId: string) =>
      step(
        () => void content[queue.recipientId]!.messages.push(messageId),
        messages.append(queue.recipientId, {
          id: messageId,
          timestamp: new Date(),
          body: new Uint8Array(bodyLength),
        }),
      );
    const acknowledge = (queue: QueueRecord) => {
      const messageId = content[queue.recipientId]!.messages.shift()!;
      return step(() => {}, messages.remove(queue.recipientId, messageId));
    };
    if (run === 0) {
      for (const queue of [a!, b!]) {
        await step(() => content[queue.recipientId] = newContent(), queues.create(queue));
      }
      for (const messageId of sent.slice(0, 3)) await send(a!, messageId);
      const { publicKey } = fakeSigner();
      await step(
        () => content[a!.recipientId]!.key = encodePublicKeyText(publicKey),
        queues.secure(a!.recipientId, publicKey),
      );
      await acknowledge(a!);
    } else {
      // The store log, which is longer than it needs to be, is compacted meanwhile; the journal is when it has grown.
      for (const messageId of sent.slice(3)) {
        await send(b!, messageId);
        await acknowledge(b!);
      }
      await send(b!, sent[0]!);
      await step(() => content[b!.recipientId]!.messages = [], messages.deleteQueue(b!.recipientId));
      await step(() => delete content[b!.recipientId], queues.delete(b!.recipientId));
    }
    await stores.close();
  }
  assert(crashes > 60 && compactions > 10, `${crashes} crashes, ${compactions} with a file of a compaction`);
});
