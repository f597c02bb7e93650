import type { RecipientQueue, SmpClient } from "../../client/mod.ts";
import { asciiText, textBytes } from "../../protocol/mod.ts";
import type { Churn } from "./churn.ts";
import type { Outcome } from "./history.ts";
import type { Pair } from "./pair.ts";
import { Peer, type Session, type World } from "./peer.ts";

/** Queues that are read at a time. */
const readers = 8;

/** Reads all queues to their ends over new connections, and looks whether they still are as they were left. */
export async function drain(
  world: World,
  { pairs, churns }: { readonly pairs: readonly Pair[]; readonly churns: readonly Churn[] },
): Promise<void> {
  const { history } = world;
  const readPair = async (peer: Peer, { name, queue, sender }: Pair) => {
    await sendLast(peer, { name, sender });
    await readAll(peer, { name, queue, history });
  };
  const readLeft = async (peer: Peer, { name, queue }: Churn["left"][number]) => {
    const { senderId } = queue;
    // Which of the two is right depends on what became of KEY; OFF and DEL refuse both.
    await sendLast(peer, { name, sender: { senderId }, isUnsigned: true });
    await sendLast(peer, { name, sender: { senderId, senderKey: world.keyPair.privateKey } });
    await readAll(peer, { name, queue, history });
  };
  const reads = [
    ...pairs.map((pair) => (peer: Peer) => readPair(peer, pair)),
    ...churns.flatMap(({ left }) => left).map((queue) => (peer: Peer) => readLeft(peer, queue)),
  ].values();
  await Promise.all(Array.from({ length: readers }, async () => {
    await using peer = new Peer(world);
    for (const read of reads) await read(peer);
  }));
}

async function sendLast(
  peer: Peer,
  { name, sender, isUnsigned = false }: {
    readonly name: string;
    readonly sender: Parameters<SmpClient["send"]>[0];
    readonly isUnsigned?: boolean;
  },
): Promise<void> {
  const text = `${name}.last${isUnsigned ? ".unsigned" : ""}`;
  for (let attempt = 1;; attempt++) {
    const session = await peer.session();
    const { outcome } = await session!.perform(
      { command: "SEND", queue: name, text: `${text}.${attempt}`, isUnsigned },
      (client) => client.send(sender, textBytes(`${text}.${attempt}`)),
    );
    if (outcome === "OK" || isRefused(outcome)) return;
  }
}

interface Read {
  readonly name: string;
  readonly queue: RecipientQueue;
  readonly history: World["history"];
}

async function readAll(peer: Peer, { name, queue, history }: Read): Promise<void> {
  for (;;) {
    const session = await peer.session();
    const { outcome } = await session!.perform(
      { command: "SUB", queue: name },
      (client) => client.subscribe(queue),
    );
    if (isRefused(outcome)) return;
    if (outcome !== "OK") continue;
    try {
      if (await readWaiting(session!, { name, queue, history })) return;
    } catch (error) {
      history.failed(error, name);
    }
  }
}

/** Not for the moment only. */
function isRefused(outcome: Outcome): boolean {
  return outcome.startsWith("ERR") && outcome !== "ERR INTERNAL";
}

/** `true`: nothing waits any more. */
async function readWaiting(session: Session, { name, queue, history }: Read): Promise<boolean> {
  const { client, number } = session;
  const events = client.events(queue);
  for (;;) {
    // What an answer has brought is there before the answer of a later command.
    const next = events.next();
    const event = await Promise.race([next, client.ping().then(() => null)]);
    if (event === null) {
      next.catch(() => {});
      return true;
    }
    if (event.done || event.value.type === "END") return false;
    const { messageId, body } = event.value;
    history.note({ type: "MSG", queue: name, connection: number, messageId, text: asciiText(body) });
    const acknowledging = { command: "ACK", queue: name, messageIds: [messageId] } as const;
    const { outcome } = await session.perform(acknowledging, (client) => client.acknowledge(queue));
    if (outcome !== "OK") return false;
  }
}
