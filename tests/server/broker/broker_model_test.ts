import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { asciiText } from "../../../protocol/mod.ts";
import { decodeBatch } from "../../../server/cluster/batch.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Clock } from "../../../server/broker/clock.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { PartitionLog } from "../../../server/cluster/partition_log.ts";
import { storesOver } from "../../../server/cluster/partition_stores.ts";
import type { LogRecord } from "../../../server/cluster/records.ts";
import type { PartitionStores } from "../../../server/store/store.ts";
import {
  fakeSigner,
  fakeVerify,
  TestBroker,
  type TestConnection,
  type TestQueue,
} from "../../support/broker.ts";
import { TwoWorkers } from "../../support/two_workers.ts";
import { InterceptedLog } from "../../support/intercepted_log.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";
import { contentOf } from "../../support/partition_log.ts";
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
    | "SUBN"
    | "ACKM"
    | "OPEN"
    | "OPEN sender"
    | "disconnect"
    | "expire"
    | "restart"
    | "crash";
  /** Who signs, if the command is signed. */
  readonly by: "usual" | "recipient" | "sender" | "other" | "none";
  /** The window of SUBN; which of the delivered messages ACKM is for. */
  readonly number: number;
}

/** A queue, straight from smp.md Queues and delivery and extensions.md. */
interface ModelQueue {
  readonly name: string;
  messages: ModelMessage[];
  exists: boolean;
  secured: boolean;
  suspended: boolean;
  /** The place of the subscribed connection. */
  subscriber: number | null;
  /** `null`: one message at a time. */
  window: number | null;
  /** The texts of messages that are delivered and unacknowledged, expired ones included. */
  delivered: string[];
}

interface ModelMessage {
  readonly text: string;
  /** Which connection has sent it; `null` when that was before a restart. */
  readonly sender: object | null;
  /** How often time had passed when it was sent. */
  readonly epoch: number;
}

const places = 3;
const quota = 8;
const mostWindow = 4, mostOpened = 4;
/** Messages are dropped when so much time has passed twice since they came. */
const epochLength = 600_000;
const limits = checkLimits({
  messagesPerQueue: quota,
  openedPerConnection: mostOpened,
  messageLifetime: 1_000_000,
  suspendedLifetime: 0,
  unsecuredLifetime: 0,
});

const workerLimits = { ...limits, openedPerConnection: 1_000 };

/** What each connection is sent, according to smp.md. */
class Model {
  readonly #mostOpened: number;
  readonly queues: ModelQueue[] = [];
  readonly sent: string[][] = Array.from({ length: places }, () => []);
  /** The names of the IDs that each connection has opened. */
  readonly opened: Set<string>[] = Array.from({ length: places }, () => new Set<string>());
  readonly #connections: object[] = Array.from({ length: places }, () => ({}));
  readonly #failing: Failing;
  epoch = 0;
  failures = 0;

  constructor(mostOpened: number, failing: Failing = { append: () => false, remove: () => false }) {
    this.#mostOpened = mostOpened;
    this.#failing = failing;
  }

  create(place: number, name: string): ModelQueue {
    const state = { exists: true, secured: false, suspended: false, window: null, delivered: [] };
    const queue = { name, messages: [], subscriber: place, ...state };
    this.queues.push(queue);
    return queue;
  }

  get counts() {
    const subscribed = this.queues.filter(({ subscriber }) => subscriber !== null);
    return {
      subscriptions: subscribed.length,
      windows: subscribed.filter(({ window }) => window !== null).length,
      delivered: subscribed.reduce((sum, { delivered }) => sum + delivered.length, 0),
    };
  }

  disconnect(place: number): void {
    this.#connections[place] = {};
    this.opened[place]!.clear();
    for (const queue of this.queues) if (queue.subscriber === place) queue.subscriber = null;
  }

  expire(): void {
    this.epoch++;
    for (const queue of this.queues) {
      queue.messages = queue.messages.filter(({ epoch }) => this.epoch - epoch < 2);
    }
  }

  /** smp.md Store log: suspended queues are gone after it. */
  restart(): void {
    for (let place = 0; place < places; place++) this.disconnect(place);
    for (const queue of this.queues) {
      queue.exists &&= !queue.suspended;
      queue.messages = queue.messages.map((message) => ({ ...message, sender: null }));
    }
  }

  /** smp.md Limits, and one place more for who has sent nothing that waits in an unsecured queue. */
  #hasPlace({ messages, secured }: ModelQueue, sender: object): boolean {
    if (messages.length < quota) return true;
    return !secured && messages.length === quota && !messages.some((message) => message.sender === sender);
  }

  /** The oldest message that is not delivered. */
  #next({ messages, delivered }: ModelQueue): string | undefined {
    return messages.find(({ text }) => !delivered.includes(text))?.text;
  }

  #push(queue: ModelQueue): void {
    const { name, subscriber, window, delivered } = queue;
    while (subscriber !== null && delivered.length < (window ?? 1)) {
      const text = this.#next(queue);
      if (text === undefined) return;
      delivered.push(text);
      this.sent[subscriber]!.push(`- ${name} MSG ${text}`);
    }
  }

  /** `false`: one of them could not be removed. */
  #acknowledge(queue: ModelQueue, count: number): boolean {
    const acknowledged = queue.messages.filter(({ text }) => queue.delivered.slice(0, count).includes(text));
    const left = acknowledged.filter(({ text }) => this.#failing.remove(text));
    queue.messages = queue.messages.filter((message) =>
      !acknowledged.includes(message) || left.includes(message)
    );
    if (left.length > 0) return false;
    queue.delivered.splice(0, count);
    return true;
  }

  #mayOpen({ exists, secured }: ModelQueue, isSender: boolean, by: keyof typeof signerOf): boolean {
    return exists && (isSender ? secured && by === "sender" : by === "recipient");
  }

  /** `target`: the text of the message that ACKM is for. */
  execute(
    queue: ModelQueue,
    corrId: string,
    { place, command, number }: Step,
    { by, target }: { readonly by: keyof typeof signerOf; readonly target: string | null },
  ): void {
    const { name, delivered } = queue;
    const id = isOfSender(command) ? `${name}.s` : name;
    const opened = this.opened[place]!;
    const answer = (response: string) => void this.sent[place]!.push(`${corrId} ${id} ${response}`);
    const answerNext = () => {
      const text = this.#next(queue);
      if (text !== undefined) queue.delivered.push(text);
      answer(text === undefined ? "OK" : `MSG ${text}`);
    };
    const fail = () => {
      this.failures++;
      answer("ERR INTERNAL");
    };
    if (command === "SEND") {
      const isSender = by === "none" ? !queue.secured || opened.has(id) : queue.secured && by === "sender";
      if (!queue.exists || queue.suspended || !isSender) return answer("ERR AUTH");
      const sender = this.#connections[place]!;
      if (!this.#hasPlace(queue, sender)) return answer("ERR QUOTA");
      if (this.#failing.append(corrId)) return fail();
      queue.messages.push({ text: corrId, sender, epoch: this.epoch });
      answer("OK");
      return this.#push(queue);
    }
    if (command === "OPEN" || command === "OPEN sender") {
      if (!this.#mayOpen(queue, command === "OPEN sender", by)) return answer("ERR AUTH");
      if (opened.size === this.#mostOpened && !opened.has(id)) return answer("ERR QUOTA");
      opened.add(id);
      return answer("OK");
    }
    if (by === "none" && !opened.has(id)) return answer("ERR CMD NO_AUTH");
    if (!queue.exists || (by !== "none" && by !== "recipient")) return answer("ERR AUTH");
    switch (command) {
      case "SUBN":
      case "SUB":
        if (queue.subscriber !== null && queue.subscriber !== place) {
          this.sent[queue.subscriber]!.push(`- ${name} END`);
        }
        queue.subscriber = place;
        queue.window = command === "SUBN" ? number : null;
        queue.delivered = [];
        answerNext();
        return queue.window === null ? undefined : this.#push(queue);
      case "KEY":
        if (queue.secured) return answer("ERR AUTH");
        queue.secured = true;
        return answer("OK");
      case "ACK":
        if (queue.subscriber !== place || delivered.length === 0) return answer("ERR NO_MSG");
        if (!this.#acknowledge(queue, 1)) return fail();
        if (queue.window === null) return answerNext();
        answer("OK");
        return this.#push(queue);
      case "ACKM": {
        const count = target === null ? 0 : delivered.indexOf(target) + 1;
        if (queue.subscriber !== place || count === 0) return answer("ERR NO_MSG");
        if (!this.#acknowledge(queue, count)) return fail();
        answer("OK");
        return this.#push(queue);
      }
      case "OFF":
        queue.suspended = true;
        return answer("OK");
      case "DEL":
        queue.exists = false;
        queue.subscriber = null;
        for (const one of this.opened) for (const gone of [name, `${name}.s`]) one.delete(gone);
        return answer("OK");
    }
  }
}

/** Which messages cannot be stored or, at the first attempt, removed; by their texts. */
interface Failing {
  append(text: string): boolean;
  remove(text: string): boolean;
}

/** A broker and the model, which are given the same steps. */
class Walk {
  test: TestBroker;
  readonly #model: Model;
  readonly #workers: TwoWorkers | null;
  readonly #restart: ((step: Step) => Promise<Stores>) | undefined;
  #connections: TestConnection[];
  readonly #queues: { real: TestQueue; model: ModelQueue }[] = [];
  readonly #time: Time = { began: Date.now(), passed: 0 };
  #steps = 0;

  /** `restart` gives the stores that are there after it. @default stores in memory, never restarted */
  constructor(
    stores: Stores | null = null,
    restart?: (step: Step) => Promise<Stores>,
    hasWorkers = false,
    failing?: Failing,
  ) {
    this.test = brokerOf(stores, this.#time, hasWorkers);
    this.#workers = hasWorkers ? new TwoWorkers(this.test, () => workerLimits) : null;
    // Workers count what is open before they verify who opens.
    this.#model = new Model(hasWorkers ? Infinity : mostOpened, failing);
    this.#connections = Array.from({ length: places }, (_, place) => this.#connect(place));
    this.#restart = restart;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#workers?.[Symbol.asyncDispose]();
  }

  #connect(place: number): TestConnection {
    return this.#workers?.connect(place % 2) ?? this.test.connect();
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
    if (command === "expire") return await this.#expire();
    if (command === "restart" || command === "crash") return await this.#startAnew(step);
    const { real, model } = this.#queues[step.queue]!;
    const usual = command === "OPEN sender" || (command === "SEND" && model.secured)
      ? "sender"
      : command === "SEND"
      ? "none"
      : "recipient";
    const by = step.by === "usual" ? usual : step.by;
    // A message may be one that is delivered, or was once; its ID is known when somebody has been sent it.
    const wanted = model.delivered[step.number - 1] ?? model.messages.at(-1)?.text ?? null;
    const target = wanted !== null && this.test.messageIds.has(wanted) ? wanted : null;
    this.#model.execute(model, corrId, step, { by, target });
    const text = {
      "SEND": `SEND ${corrId}`,
      "SUBN": `SUBN ${step.number}`,
      "ACKM": `ACKM ${target}`,
      "OPEN sender": "OPEN",
    }[command as string] ?? command;
    const queueId = isOfSender(command) ? real.senderId : real.recipientId;
    await this.#connections[place]!.submit(real, text, { corrId, queueId, key: signerOf[by] });
  }

  /** Lets the broker come to rest and compares what the connections were sent, queue by queue. */
  async compare(): Promise<void> {
    await (this.#workers ?? this.test).idle();
    for (const [place, connection] of this.#connections.entries()) {
      const [sent, expected] = [connection.take(), this.#model.sent[place]!.splice(0)];
      if (sent.length + expected.length > 0) assertEquals(byQueue(sent), byQueue(expected));
    }
    assertEquals(this.test.brokers.counts, this.#model.counts);
    const opened = this.#model.opened.reduce((sum, { size }) => sum + size, 0);
    assertEquals([this.test.brokers.opened, this.test.metrics.internalErrors], [
      opened,
      this.#model.failures,
    ]);
  }

  async #create(place: number, queue: number): Promise<void> {
    await this.compare();
    const name = `${queue}.${this.#steps}`;
    const real = await this.#connections[place]!.create(name, signers);
    this.#queues[queue] = { real, model: this.#model.create(place, name) };
  }

  async #expire(): Promise<void> {
    await this.compare();
    this.#time.passed += epochLength;
    await this.test.brokers.sweep();
    this.#model.expire();
  }

  async #startAnew(step: Step): Promise<void> {
    await this.compare();
    for (const connection of this.#connections) connection.disconnect();
    const test = brokerOf(await this.#restart!(step), this.#time, false);
    for (const [text, id] of this.test.messageIds) test.messageIds.set(text, id);
    for (const [id, name] of this.test.names) test.names.set(id, name);
    this.test = test;
    this.#connections = this.#connections.map((_, place) => this.#connect(place));
    this.#model.restart();
  }

  async #reconnect(place: number): Promise<void> {
    await this.compare();
    this.#connections[place]!.disconnect();
    this.#connections[place] = this.#connect(place);
    this.#model.disconnect(place);
  }
}

type Stores = Pick<PartitionStores, "queues" | "messages" | "isOrdered" | "memory">;

/** Milliseconds; passes when a test says so. */
interface Time {
  readonly began: number;
  passed: number;
}

function isOfSender(command: Step["command"]): boolean {
  return command === "SEND" || command === "OPEN sender";
}

/** Of all brokers: each would make its own keys for unknown queues, which takes longer than a walk. */
const authorizer = new Authorizer(fakeVerify);

function brokerOf(stores: Stores | null, time: Time, hasWorkers: boolean): TestBroker {
  const now = () => time.began + time.passed;
  return new TestBroker({
    authorizer,
    limits: () => hasWorkers ? workerLimits : limits,
    clock: new Clock(now, now),
    ...(stores && { queues: stores.queues, messages: stores.messages }),
    ...(stores?.memory && { memory: stores.memory, isOrdered: stores.isOrdered ?? false }),
  }, hasWorkers ? 2 : undefined);
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

const commandWeights = {
  SEND: 22,
  ACK: 8,
  ACKM: 10,
  SUB: 6,
  SUBN: 8,
  KEY: 2,
  OPEN: 4,
  "OPEN sender": 3,
  OFF: 1,
  DEL: 1,
  disconnect: 2,
  expire: 2,
  NEW: 1,
};

function stepOf(weights: Readonly<Partial<Record<Step["command"], number>>>): fc.Arbitrary<Step> {
  return fc.record({
    place: fc.nat(places - 1),
    queue: fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.nat(places - 1), weight: 2 }),
    command: weighted(weights as Record<Step["command"], number>),
    by: weighted({ usual: 15, recipient: 1, sender: 1, other: 1, none: 6 }),
    number: fc.integer({ min: 1, max: mostWindow }),
  });
}

const step = stepOf(commandWeights);
/** More of what is stored together. */
const pairedStep = stepOf({ ...commandWeights, SEND: 30, ACK: 25, SUBN: 3, disconnect: 1 });

Deno.test("any commands one by one give what the spec says", { permissions }, async () => {
  // smp.md Authorization, Queues and delivery; extensions.md open1, window1
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
      const walk = new Walk();
      await walk.begin();
      for (const step of steps) {
        await walk.take(step);
        await walk.compare();
      }
    }),
    { numRuns: 300 },
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
      { numRuns: 300 },
    );
  },
);

for (const isPipelined of [false, true]) {
  const how = isPipelined ? "pipelined" : "one by one";
  Deno.test(`any commands ${how} to two workers give what the spec says`, { permissions }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
        await using walk = new Walk(null, undefined, true);
        await walk.begin();
        let last = -1;
        for (const step of steps) {
          // What comes from several connections has no order between workers.
          if (!isPipelined || step.place !== last) await walk.compare();
          // A session refuses it.
          if (step.command.startsWith("OPEN") && step.by === "none") continue;
          await walk.take(step);
          last = step.place;
        }
        await walk.compare();
      }),
      { numRuns: isPipelined ? 150 : 60 },
    );
  });
}

/** A SEND and an ACK of the first queue while a command of the second one is being stored. */
const together: Step[] = [["SEND", 0], ["expire", 0], ["SEND", 1], ["SEND", 0], ["ACK", 0]].map((
  [command, queue],
) => ({ command, queue, place: 0, by: "usual", number: 1 }) as Step);

/** A log of a partition, some of whose records cannot be appended. */
class FailingLog {
  readonly #log: PartitionLog;
  readonly #failing: Failing;
  readonly #texts = new Map<string, string>();

  constructor(log: PartitionLog, failing: Failing) {
    this.#log = log;
    this.#failing = failing;
  }

  get state() {
    return this.#log.state;
  }

  append(records: readonly LogRecord[]): Promise<number[]> {
    const fails = records.some((record) => {
      if (record.type === "MESSAGE") {
        const text = asciiText(record.body);
        this.#texts.set(record.id, text);
        return this.#failing.append(text);
      }
      return record.type === "ACKNOWLEDGE" &&
        record.messageIds.some((id) => this.#failing.remove(this.#texts.get(id)!));
    });
    return fails ? Promise.reject(new Error("the log takes nothing more")) : this.#log.append(records);
  }
}

/** The same ones each time it is made; the numbers are those of steps. */
function failing(): Failing {
  const removed = new Set<string>();
  return {
    append: (text) => Number(text) % 13 === 5,
    remove: (text) => Number(text) % 4 === 1 && !removed.has(text) && removed.add(text).size > 0,
  };
}

Deno.test(
  "any pipelined commands over the log of a partition give what the spec says, and the same when it is read again",
  { permissions },
  async () => {
    // docs/cluster.md Several machines: a SEND and an ACK of a queue are stored together
    const delays = fc.array(fc.nat(60), { minLength: 1, maxLength: 40, size: "max" });
    let count = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(pairedStep, { maxLength: 80, size: "max" }),
        delays,
        fc.boolean(),
        async (steps, delays, fails) => {
          const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
          const intercepted = new InterceptedLog(stream, snapshots);
          let delayed = 0;
          intercepted.intercept = async (_operation, perform) => {
            for (let turns = delays[delayed++ % delays.length]!; turns > 0; turns--) await null;
            return await perform();
          };
          const clock = { now: () => 0, wait: () => Promise.resolve() };
          const options = { snapshots, node: "a", clock };
          await using log = await PartitionLog.claim({ ...options, stream: intercepted.stream });
          const stores = storesOver(fails ? new FailingLog(log, failing()) : log);
          const walk = new Walk(stores, undefined, false, fails ? failing() : undefined);
          await walk.begin();
          for (const step of steps) await walk.take(step);
          await walk.compare();
          for (const { data } of stream.messages.values()) count += Number(hasBoth(data));
          await using read = await PartitionLog.claim({ ...options, stream });
          assertEquals(contentOf(read.state), contentOf(log.state));
        },
      ),
      { numRuns: 100, examples: [[together, [200], false]] },
    );
    assert(count > 0);
  },
);

/** Whether a batch has a message and an acknowledgement of one queue. */
function hasBoth(batch: Uint8Array): boolean {
  const { records } = decodeBatch(batch);
  const [sent, acknowledged] = ["MESSAGE", "ACKNOWLEDGE"].map((wanted) =>
    new Set(records.flatMap((record) => {
      return record.type === wanted && "recipientId" in record ? [record.recipientId] : [];
    }))
  );
  return !sent!.isDisjointFrom(acknowledged!);
}

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
    { numRuns: 60 },
  );
});
