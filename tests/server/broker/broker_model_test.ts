import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import type { DurableStores } from "../../../server/store/durable.ts";
import {
  fakeSigner,
  fakeVerify,
  TestBroker,
  type TestConnection,
  type TestQueue,
} from "../../support/broker.ts";
import { CrashDisk } from "../../support/crash_disk.ts";
import { openStores, temporaryFolder } from "../../support/durable.ts";

const permissions = "none";
const signers = { recipient: fakeSigner(), sender: fakeSigner() };
const signerOf = { ...signers, other: fakeSigner(), none: null };

/** What a client does; a connection or queue is one of a few places, whose occupant changes. */
interface Step {
  readonly place: number;
  readonly queue: number;
  readonly command:
    | "NEW"
    | "SUB"
    | "KEY"
    | "ACK"
    | "OFF"
    | "DEL"
    | "SEND"
    | "disconnect"
    | "restart"
    | "crash";
  /** Who signs, if the command is signed. */
  readonly by: "usual" | "recipient" | "sender" | "other";
}

/** A queue, straight from smp.md Queues and delivery. */
interface ModelQueue {
  readonly name: string;
  messages: ModelMessage[];
  exists: boolean;
  secured: boolean;
  suspended: boolean;
  /** The place of the subscribed connection. */
  subscriber: number | null;
  delivered: boolean;
}

interface ModelMessage {
  readonly text: string;
  /** Which connection has sent it; `null` when that was before a restart. */
  readonly sender: object | null;
}

const places = 3;
const quota = 8;
const limits = checkLimits({ messagesPerQueue: quota });

/** What each connection is sent, according to smp.md. */
class Model {
  readonly queues: ModelQueue[] = [];
  readonly sent: string[][] = Array.from({ length: places }, () => []);
  readonly #connections: object[] = Array.from({ length: places }, () => ({}));

  create(place: number, name: string): ModelQueue {
    const state = { exists: true, secured: false, suspended: false, delivered: false };
    const queue = { name, messages: [], subscriber: place, ...state };
    this.queues.push(queue);
    return queue;
  }

  disconnect(place: number): void {
    this.#connections[place] = {};
    for (const queue of this.queues) if (queue.subscriber === place) queue.subscriber = null;
  }

  /** smp.md Store log: suspended queues are gone after it. */
  restart(): void {
    for (let place = 0; place < places; place++) this.disconnect(place);
    for (const queue of this.queues) {
      queue.exists &&= !queue.suspended;
      queue.messages = queue.messages.map(({ text }) => ({ text, sender: null }));
    }
  }

  /** smp.md Limits, and one place more for who has sent nothing that waits in an unsecured queue. */
  #hasPlace({ messages, secured }: ModelQueue, sender: object): boolean {
    if (messages.length < quota) return true;
    return !secured && messages.length === quota && !messages.some((message) => message.sender === sender);
  }

  execute(queue: ModelQueue, corrId: string, { place, command }: Step, by: keyof typeof signerOf): void {
    const { name, messages } = queue;
    const id = command === "SEND" ? `${name}.s` : name;
    const answer = (response: string) => void this.sent[place]!.push(`${corrId} ${id} ${response}`);
    const answerNext = () => {
      queue.delivered = messages.length > 0;
      answer(queue.delivered ? `MSG ${messages[0]!.text}` : "OK");
    };
    if (command === "SEND") {
      const authorized = queue.exists && !queue.suspended && by === (queue.secured ? "sender" : "none");
      if (!authorized) return answer("ERR AUTH");
      const sender = this.#connections[place]!;
      if (!this.#hasPlace(queue, sender)) return answer("ERR QUOTA");
      messages.push({ text: corrId, sender });
      answer("OK");
      if (queue.subscriber === null || (queue.delivered && messages.length > 1)) return;
      queue.delivered = true;
      this.sent[queue.subscriber]!.push(`- ${name} MSG ${messages[0]!.text}`);
      return;
    }
    if (!queue.exists || by !== "recipient") return answer("ERR AUTH");
    switch (command) {
      case "SUB":
        if (queue.subscriber !== null && queue.subscriber !== place) {
          this.sent[queue.subscriber]!.push(`- ${name} END`);
        }
        queue.subscriber = place;
        return answerNext();
      case "KEY":
        if (queue.secured) return answer("ERR AUTH");
        queue.secured = true;
        return answer("OK");
      case "ACK":
        if (queue.subscriber !== place || !queue.delivered) return answer("ERR NO_MSG");
        messages.shift();
        return answerNext();
      case "OFF":
        queue.suspended = true;
        return answer("OK");
      case "DEL":
        queue.exists = false;
        queue.subscriber = null;
        return answer("OK");
    }
  }
}

/** A broker and the model, which are given the same steps. */
class Walk {
  test: TestBroker;
  readonly #model = new Model();
  readonly #restart: ((step: Step) => Promise<Stores>) | undefined;
  #connections: TestConnection[];
  readonly #queues: { real: TestQueue; model: ModelQueue }[] = [];
  #steps = 0;

  /** `restart` gives the stores that are there after it. @default stores in memory, never restarted */
  constructor(stores: Stores | null = null, restart?: (step: Step) => Promise<Stores>) {
    this.test = brokerOf(stores);
    this.#connections = connectionsOf(this.test);
    this.#restart = restart;
  }

  /** Gives every queue place a queue. */
  async begin(): Promise<void> {
    for (let queue = 0; queue < places; queue++) await this.#create(queue, queue);
  }

  /** Takes a step, without waiting for the answer to a command of a queue. */
  async take(step: Step): Promise<void> {
    const corrId = String(this.#steps++);
    const { place, command } = step;
    if (command === "NEW") return await this.#create(place, step.queue);
    if (command === "disconnect") return await this.#reconnect(place);
    if (command === "restart" || command === "crash") return await this.#startAnew(step);
    const { real, model } = this.#queues[step.queue]!;
    const usual = command !== "SEND" ? "recipient" : model.secured ? "sender" : "none";
    const by = step.by === "usual" ? usual : step.by;
    this.#model.execute(model, corrId, step, by);
    const text = command === "SEND" ? `SEND ${corrId}` : command;
    await this.#connections[place]!.submit(real, text, { corrId, key: signerOf[by] });
  }

  /** Lets the broker come to rest and compares what the connections were sent, queue by queue. */
  async compare(): Promise<void> {
    await this.test.idle();
    for (const [place, connection] of this.#connections.entries()) {
      assertEquals(byQueue(connection.take()), byQueue(this.#model.sent[place]!.splice(0)));
    }
    const subscribed = this.#model.queues.filter(({ subscriber }) => subscriber !== null).length;
    assertEquals([this.test.broker.subscriptions, this.test.metrics.internalErrors], [subscribed, 0]);
  }

  async #create(place: number, queue: number): Promise<void> {
    await this.compare();
    const name = `${queue}.${this.#steps}`;
    const real = await this.#connections[place]!.create(name, signers);
    this.#queues[queue] = { real, model: this.#model.create(place, name) };
  }

  async #startAnew(step: Step): Promise<void> {
    await this.compare();
    for (const connection of this.#connections) connection.disconnect();
    const test = brokerOf(await this.#restart!(step));
    for (const [id, name] of this.test.names) test.names.set(id, name);
    this.test = test;
    this.#connections = connectionsOf(test);
    this.#model.restart();
  }

  async #reconnect(place: number): Promise<void> {
    await this.compare();
    this.#connections[place]!.disconnect();
    this.#connections[place] = this.test.connect();
    this.#model.disconnect(place);
  }
}

type Stores = Pick<DurableStores, "queues" | "messages">;

function brokerOf(stores: Stores | null): TestBroker {
  return new TestBroker({
    authorizer: new Authorizer(fakeVerify),
    limits: () => limits,
    ...(stores && { queues: stores.queues, messages: stores.messages }),
  });
}

function connectionsOf(test: TestBroker): TestConnection[] {
  return Array.from({ length: places }, () => test.connect());
}

/**
 * smp.md orders what belongs to one queue; what belongs to different queues may overlap. The two IDs of a queue that is
 * gone are those of two unknown queues, so that refused messages are compared on their own.
 */
function byQueue(lines: readonly string[]): Record<string, string[]> {
  const queueOf = (line: string) => {
    const id = line.split(" ")[1]!;
    return line.endsWith("ERR AUTH") ? id : id.replace(/\.s$/, "");
  };
  const groups: Record<string, string[]> = {};
  for (const line of lines) (groups[queueOf(line)] ??= []).push(line);
  return groups;
}

function weighted<T extends string>(weights: Readonly<Record<T, number>>): fc.Arbitrary<T> {
  const entries = Object.entries(weights) as [T, number][];
  return fc.oneof(...entries.map(([value, weight]) => ({ arbitrary: fc.constant(value), weight })));
}

const commandWeights = { SEND: 18, ACK: 14, SUB: 10, KEY: 2, OFF: 1, DEL: 1, disconnect: 2, NEW: 1 };

function stepOf(weights: Readonly<Partial<Record<Step["command"], number>>>): fc.Arbitrary<Step> {
  return fc.record({
    place: fc.nat(places - 1),
    queue: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.nat(places - 1), weight: 2 }),
    command: weighted(weights as Record<Step["command"], number>),
    by: weighted({ usual: 15, recipient: 1, sender: 1, other: 1 }),
  });
}

const step = stepOf(commandWeights);

Deno.test("any commands one by one give what the spec says", { permissions }, async () => {
  // smp.md Authorization, Queues and delivery
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
      const walk = new Walk();
      await walk.begin();
      for (const step of steps) {
        await walk.take(step);
        await walk.compare();
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test(
  "any pipelined commands give what the spec says, however slow the stores are",
  { permissions },
  async () => {
    // smp.md Queues and delivery: answers to one queue's commands keep the order of the commands
    const delays = fc.array(fc.nat(12), { minLength: 1, maxLength: 40, size: "max" });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), delays, async (steps, delays) => {
        const walk = new Walk();
        await walk.begin();
        let delayed = 0;
        const wait = async () => {
          for (let turns = delays[delayed++ % delays.length]!; turns > 0; turns--) await null;
        };
        walk.test.around = async (_operation, run) => {
          await wait();
          const result = await run();
          await wait();
          return result;
        };
        for (const step of steps) await walk.take(step);
        await walk.compare();
      }),
      { numRuns: 1000 },
    );
  },
);

Deno.test("restarts and crashes in between change nothing, with messages in the journal", async () => {
  const durableStep = stepOf({ ...commandWeights, restart: 2, crash: 3 });
  await fc.assert(
    fc.asyncProperty(fc.array(durableStep, { maxLength: 60, size: "max" }), async (steps) => {
      await using folder = await temporaryFolder();
      await using opened = new AsyncDisposableStack();
      let runs = 0, disk: CrashDisk;
      const open = async () => {
        disk = new CrashDisk();
        return opened.use(await openStores(`${folder.path}/${runs}`, { io: disk }));
      };
      let stores = await open();
      const walk = new Walk(stores, async ({ command, place, queue }) => {
        if (command === "restart") await stores.close();
        else {
          // Commands are answered, but a compaction may be anywhere.
          const operations = place * places + queue;
          await disk.crash(`${folder.path}/${runs}`, `${folder.path}/${++runs}`, operations);
        }
        return stores = await open();
      });
      await walk.begin();
      for (const step of steps) await walk.take(step);
      await walk.compare();
    }),
    { numRuns: 200 },
  );
});
