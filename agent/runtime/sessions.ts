import { backoffDelay, Pause } from "../backoff.ts";
import { canEncrypt } from "../session/session.ts";
import type { Connection } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { encryptWaiting } from "./frames.ts";
import { subscribedInbound } from "./inbound.ts";
import type { Interpreter } from "./interpreter.ts";
import { formerFrames, makeOffer } from "./upgrades.ts";

/** Milliseconds between two receipts that go by themselves. */
const receiptInterval = 1_000;

/** Milliseconds that a receipt waits for others, and for a message that takes it along. */
const receiptDelay = 20;

interface Worker {
  work: Promise<void> | null;
  isWoken: boolean;
  readonly pause: Pause;
  receipt: ReturnType<typeof setTimeout> | undefined;
  receiptAt: number;
}

/** Does what sessions need beside the handling of packets, each for itself: tried until it succeeds. */
export class Sessions implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  /** Sends a receipt by an outbound route. */
  readonly #tellReceipt: (route: string) => void;
  readonly #workers = new Map<string, Worker>();
  #isClosed = false;

  /** Does nothing yet. */
  constructor(context: AgentContext, interpreter: Interpreter, tellReceipt: (route: string) => void) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#tellReceipt = tellReceipt;
  }

  /** Looks at what the session of a connection needs. */
  look(id: string): void {
    const connection = this.#context.connections.find(id);
    if (this.#isClosed || connection === undefined || !isNeeded(connection)) return;
    let worker = this.#workers.get(id);
    if (worker === undefined) {
      worker = { work: null, isWoken: false, pause: new Pause(), receipt: undefined, receiptAt: -Infinity };
      this.#workers.set(id, worker);
    }
    worker.isWoken = true;
    worker.work ??= this.#work(id, worker);
  }

  /** Stops working for a connection that was deleted. */
  stop(id: string): void {
    const worker = this.#workers.get(id);
    clearTimeout(worker?.receipt);
    worker?.pause.end();
    this.#workers.delete(id);
  }

  /** Stops; what is not done is done after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const workers = [...this.#workers.values()];
    for (const { pause, receipt } of workers) {
      clearTimeout(receipt);
      pause.end();
    }
    await Promise.all(workers.map(({ work }) => work));
  }

  async #work(id: string, worker: Worker): Promise<void> {
    const { connections, retry, failed } = this.#context;
    for (let failures = 0; worker.isWoken && !this.#isClosed;) {
      worker.isWoken = false;
      try {
        for (let connection; (connection = connections.find(id)) !== undefined && !this.#isClosed;) {
          if (!await this.#next(connection, worker)) break;
          failures = 0;
        }
      } catch (error) {
        if (this.#isClosed || connections.find(id) === undefined) break;
        if (++failures === 1) failed(id, error);
        worker.isWoken = true;
        await worker.pause.wait(backoffDelay(retry, failures));
      }
    }
    // In the same turn as the last look: what comes from now on begins anew.
    worker.work = null;
  }

  /** Does one thing; `false` when there is nothing more to do. */
  async #next(connection: Connection, worker: Worker): Promise<boolean> {
    const { record: { id }, session } = connection;
    if (session === null) return false;
    if (isOfferDue(connection)) await this.#offer(id);
    else if (isFallBackDue(connection)) {
      await this.#interpreter.do(id, async (connection) => (
        isFallBackDue(connection)
          ? { type: "fell back", messages: await formerFrames(this.#context.store, connection) }
          : null
      ));
    } else if (canEncrypt(session)) {
      const made = await this.#interpreter.do(id, async (connection) => {
        const encrypted = await encryptWaiting(this.#context.store, connection);
        return encrypted === null || encrypted.frames.length === 0
          ? null
          : { type: "encrypted", ...encrypted };
      });
      if (made === null) return false;
    } else {
      this.#scheduleReceipt(connection, worker);
      return false;
    }
    return true;
  }

  async #offer(id: string): Promise<void> {
    const { servers, abandon } = this.#context;
    const { made: { route, client }, pair, upgrade } = await makeOffer(this.#context);
    let step = null;
    try {
      step = await this.#interpreter.do(id, { type: "offered", pair, inbound: route, upgrade });
    } finally {
      if (step?.connection.inbound.includes(route) !== true) await abandon(route);
    }
    if (step !== null) servers.created(subscribedInbound(this.#context, route), client);
  }

  #scheduleReceipt({ record: { id }, session }: Connection, worker: Worker): void {
    if (session === null || !session.receiptDue || session.status !== "active") return;
    if (worker.receipt !== undefined || this.#isClosed || this.#workers.get(id) !== worker) return;
    const now = performance.now();
    const delay = Math.max(receiptDelay, worker.receiptAt + receiptInterval - now);
    worker.receipt = setTimeout(() => {
      worker.receipt = undefined;
      worker.receiptAt = performance.now();
      const [route] = this.#context.connections.find(id)?.outbound ?? [];
      if (route !== undefined) this.#tellReceipt(route.id);
    }, delay);
  }
}

function isNeeded(connection: Connection): boolean {
  const { session } = connection;
  return session !== null &&
    (session.receiptDue || canEncrypt(session) || isOfferDue(connection) || isFallBackDue(connection));
}

/** Whether the joiner has to make its UPG. */
function isOfferDue({ record, session }: Connection): boolean {
  return session?.status === "agreed" && record.role === "joiner";
}

/** Whether the other agent has said HELLO and has no sessions. */
function isFallBackDue({ record, session }: Connection): boolean {
  return session?.status === "greeting" && record.role === "joiner" && record.extensions !== null;
}
