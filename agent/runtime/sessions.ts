import { backoffDelay, Pause } from "../backoff.ts";
import { formatAddress, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import type { SubscribedQueue } from "../servers.ts";
import type { SessionEvent, Step } from "../core/types.ts";
import { isRepairDue, unansweredRepair } from "../session/repair_state.ts";
import { canChangeRoutes } from "../session/routes.ts";
import { canEncrypt, mostUnreceipted, readyNumber } from "../session/session.ts";
import type { Connection, InboundRoute, LeavingReason, OutboundRoute, Session } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { encryptWaiting } from "./frames.ts";
import { makeInbound, subscribedInbound } from "./inbound.ts";
import type { Interpreter } from "./interpreter.ts";
import { Receipts } from "./receipts.ts";
import { subscribedQueue } from "./routes.ts";
import { routeNeed } from "./route_need.ts";
import { formerFrames, makeOffer } from "./upgrades.ts";
import type { Workers } from "./workers.ts";

/** Milliseconds between two receipts that go by themselves. */
const receiptInterval = 1_000;

/** Milliseconds that a receipt waits for others. */
const receiptDelay = 20;

/** Frames that have come since the last receipt after which the next one waits no longer: the other side stops without. */
const receiptEvery = mostUnreceipted / 4;

/** Frames that are given up in one transaction. */
const givenUpTogether = 100;

/** Work that is tried until it succeeds. */
interface Task {
  work: Promise<void> | null;
  isWoken: boolean;
  readonly pause: Pause;
}

interface Worker {
  readonly frames: Task;
  /** Apart: a server that makes no queue holds up neither frames nor receipts. */
  readonly routes: Task;
  receipt: ReturnType<typeof setTimeout> | undefined;
  /** When the next receipt is to go, and when the last one went. */
  receiptDue: number;
  receiptAt: number;
  /** Up to which frame the last receipt has told. */
  told: number;
  /** Whether it is time for the receipt. */
  isReceiptTimed: boolean;
}

/** Milliseconds between two looks at the ages of routes, and at what is lost, at most. */
const longestInspection = 60_000;

/** The share of their lifetime in which all routes of an agent are replaced when all are too old. */
const renewalShare = 1 / 10;

/** Milliseconds without a receipt that tells anything new after which what has none is sent again. */
const silence = 86_400_000;

/** Does what sessions need beside the handling of packets, each for itself: tried until it succeeds. */
export class Sessions implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #receipts: Receipts;
  readonly #workers = new Map<string, Worker>();
  readonly #happenings = new Set<Promise<void>>();
  readonly #hearings = new Set<Promise<void>>();
  /** The queues that another program has subscribed to, and those that their servers have forgotten. */
  readonly #ended = new Set<string>();
  /** The work for deleted connections that has not stopped yet. */
  readonly #stopping = new Set<Promise<void>>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #isClosed = false;

  /** Does nothing yet. */
  constructor(
    context: AgentContext,
    interpreter: Interpreter,
    workers: Pick<Workers, "sendReceipt">,
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#receipts = new Receipts({ context, interpreter, workers, look: (id) => this.look(id) });
  }

  /** Looks at all sessions now and then. */
  begin(): void {
    this.#timer = setInterval(() => this.inspect(), this.#interval);
  }

  /** Looks for routes that are old, or lost, and for frames that nobody receipts. */
  inspect(): void {
    const { connections, servers, now, lostTimeout } = this.#context;
    const old: { readonly id: string; readonly route: InboundRoute }[] = [];
    let routes = 0;
    for (const connection of connections.all()) {
      const { record: { id }, session, inbound } = connection;
      // It was not told while the session was being repaired.
      if (session?.receiptDue) this.look(id);
      if (isRepairDue(connection, now())) this.#repair(id);
      if (session === null || !canChangeRoutes(connection)) continue;
      routes += inbound.length;
      for (const route of inbound) if (this.#isOld(route)) old.push({ id, route });
      const lost = inbound.filter(({ status, leaving, keys }) =>
        status !== "ending" && leaving !== "lost" && servers.isLost(keys.server, lostTimeout)
      );
      this.#leave(id, lost, "lost");
      this.#refuseUnreachable(connection);
      this.#repeatAfterSilence(connection, session);
      // What was refused may be taken by now.
      if (connection.refusedAt !== undefined) this.look(id);
    }
    // Not all at once: they were made on one day, or a clock is wrong.
    const most = Math.ceil(routes * this.#interval / (renewalShare * this.#context.routeLifetime));
    for (const { id, route } of old.slice(0, most)) this.#leave(id, [route], "age");
  }

  /** Whether a route is to be replaced because of its age. */
  #isOld({ status, leaving, keys }: InboundRoute): boolean {
    if (status !== "active" || leaving !== null) return false;
    const { now, routeLifetime, deadlines } = this.#context;
    const age = now() - keys.createdAt;
    // It was made by a clock that was ahead, unless this one is behind.
    return age > routeLifetime || (-age > routeLifetime && deadlines.isSettled());
  }

  /** Milliseconds between two looks at all sessions. */
  get #interval(): number {
    return Math.min(longestInspection, Math.ceil(this.#context.lostTimeout / 4));
  }

  #leave(id: string, routes: readonly InboundRoute[], reason: LeavingReason): void {
    if (routes.length === 0) return;
    this.#happen(id, { type: "leave routes", routes: routes.map((route) => route.id), reason });
  }

  #repair(id: string): void {
    this.#keep(this.#interpreter.repair(id));
  }

  /** Has something happen; when the store fails, the next inspection tries again. */
  #happen(id: string, event: SessionEvent): void {
    this.#keep(this.#interpreter.do(id, event));
  }

  #keep(work: Promise<unknown>): void {
    const done = work.then(() => {}, () => {}).finally(() => this.#happenings.delete(done));
    this.#happenings.add(done);
  }

  /** Who cannot use a route that was added says so, unless those before it cannot be used either. */
  #refuseUnreachable({ record: { id }, outbound }: Connection): void {
    const { servers, lostTimeout } = this.#context;
    const isLost = ({ keys }: OutboundRoute) => servers.isLost(keys.server, lostTimeout);
    if (!outbound.some((route) => route.isProven && !isLost(route))) return;
    for (const route of outbound) {
      if (!route.isProven && isLost(route)) this.#happen(id, { type: "refuse route", route: route.id });
    }
  }

  #repeatAfterSilence({ record: { id } }: Connection, session: Session): void {
    const { receipted, lastTaken, quietSince = 0 } = session;
    // A clock that was wrong is of no weight for longer than that.
    const isLong = Math.abs(this.#context.now() - quietSince) > silence;
    if (receipted.upTo < lastTaken && isLong) this.#happen(id, { type: "repeat all" });
  }

  /** A server has forgotten the queue of an inbound route, if it is one: another one takes its place. */
  forgotten(route: string): boolean {
    const at = this.#context.connections.inbound(route);
    if (at === undefined || !canChangeRoutes(at.connection)) return false;
    // Else it would be subscribed to again at each look until another one takes its place.
    this.#ended.add(route);
    this.#leave(at.connection.record.id, [at.route], "lost");
    return true;
  }

  /**
   * Subscribes to what a session needs, whether or not the application has subscribed: without receipts it stops sending,
   * and an upgrade does not go on.
   */
  #hear(connection: Connection): void {
    const { servers } = this.#context;
    for (const queue of heardQueues(connection, this.#context)) {
      if (servers.isWanted(queue.id) || this.#ended.has(queue.id)) continue;
      const hearing = servers.subscribe(queue).catch((error) => {
        if (error instanceof SmpError && error.code === "AUTH") this.forgotten(queue.id);
      }).finally(() => this.#hearings.delete(hearing));
      this.#hearings.add(hearing);
    }
  }

  /** There is a connection to a server: of more routes than are wanted one can end when enough of them are reached. */
  reachable(server: ServerAddress): void {
    const address = formatAddress(server);
    for (const { record: { id }, inbound } of this.#context.connections.all()) {
      if (inbound.length > 1 && inbound.some(({ keys }) => formatAddress(keys.server) === address)) {
        this.look(id);
      }
    }
  }

  /** Another program has subscribed to a queue: it is not subscribed to here by itself any more. */
  ended(route: string): void {
    this.#ended.add(route);
  }

  /** Looks at what the session of a connection needs. */
  look(id: string): void {
    const connection = this.#context.connections.find(id);
    if (this.#isClosed || connection === undefined) return;
    this.#hear(connection);
    if (!isNeeded(connection, this.#context)) return;
    let worker = this.#workers.get(id);
    if (worker === undefined) {
      worker = {
        frames: newTask(),
        routes: newTask(),
        receipt: undefined,
        receiptDue: Infinity,
        receiptAt: -Infinity,
        told: 0,
        isReceiptTimed: false,
      };
      this.#workers.set(id, worker);
    }
    const own = worker;
    this.#wake(id, own.frames, (connection) => this.#next(connection, own));
    this.#wake(id, own.routes, (connection) => this.#changeRoutes(connection));
  }

  #wake(id: string, task: Task, next: (connection: Connection) => Promise<boolean>): void {
    task.isWoken = true;
    task.work ??= this.#work(id, task, next);
  }

  /** Stops working for a connection that was deleted. */
  stop(id: string): void {
    const worker = this.#workers.get(id);
    this.#receipts.forget(id);
    clearTimeout(worker?.receipt);
    this.#workers.delete(id);
    for (const task of worker === undefined ? [] : [worker.frames, worker.routes]) {
      task.pause.end();
      const stopping = task.work?.finally(() => this.#stopping.delete(stopping!));
      if (stopping !== undefined) this.#stopping.add(stopping);
    }
  }

  /** Stops; what is not done is done after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    const workers = [...this.#workers.values()];
    const tasks = workers.flatMap(({ frames, routes }) => [frames, routes]);
    for (const { receipt } of workers) clearTimeout(receipt);
    for (const { pause } of tasks) pause.end();
    await Promise.all([
      ...tasks.map(({ work }) => work),
      ...this.#stopping,
      ...this.#happenings,
      ...this.#hearings,
    ]);
  }

  async #work(
    id: string,
    task: Task,
    next: (connection: Connection) => Promise<boolean>,
  ): Promise<void> {
    const { connections, retry, failed } = this.#context;
    for (let failures = 0; task.isWoken && !this.#isClosed;) {
      task.isWoken = false;
      try {
        for (let connection; (connection = connections.find(id)) !== undefined && !this.#isClosed;) {
          if (!await next(connection)) break;
          failures = 0;
        }
      } catch (error) {
        if (this.#isClosed || connections.find(id) === undefined) break;
        if (++failures === 1) failed(id, error);
        task.isWoken = true;
        await task.pause.wait(backoffDelay(retry, failures));
      }
    }
    // In the same turn as the last look: what comes from now on begins anew.
    task.work = null;
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
    } else if (isGivingUpDue(session)) {
      const frames = await this.#context.store.frames(id, session.receipted.upTo, givenUpTogether);
      await this.#interpreter.do(id, { type: "gave up frames", frames });
    } else if (canEncrypt(session) && await this.#encrypt(id)) {
      return true;
    } else if (worker.isReceiptTimed) {
      worker.isReceiptTimed = false;
      worker.told = await this.#receipts.send(id) ?? session.stored.upTo;
      return false;
    } else {
      this.#scheduleReceipt(connection, worker);
      return false;
    }
    return true;
  }

  /** Encrypts frames that wait; `false` when there are none: after a repair numbers can be left out. */
  async #encrypt(id: string): Promise<boolean> {
    const made = await this.#interpreter.do(id, async (connection) => {
      const encrypted = await encryptWaiting(this.#context.store, connection);
      return encrypted === null || encrypted.frames.length === 0 ? null : { type: "encrypted", ...encrypted };
    });
    return made !== null;
  }

  /** Makes one route that is needed, or ends one that is not; `false` when there are as many as there are to be. */
  async #changeRoutes(connection: Connection): Promise<boolean> {
    const need = routeNeed(connection, this.#context);
    if (need === null) return false;
    const { id } = connection.record;
    if (need.type === "end") {
      await this.#interpreter.do(id, { type: "end route", route: need.route });
      return true;
    }
    const { servers, abandon } = this.#context;
    const { replaces, server } = need;
    const made = await makeInbound(this.#context, { server, status: "new", replaces, leaving: null });
    let step: Step | null = null;
    try {
      step = await this.#interpreter.do(id, {
        type: "inbound made",
        inbound: made.route,
        record: made.record,
      });
    } finally {
      if (!isIn(step, made.route)) await abandon(made.route);
    }
    if (isIn(step, made.route)) servers.created(subscribedInbound(this.#context, made.route), made.client);
    return true;
  }

  async #offer(id: string): Promise<void> {
    const { servers, abandon } = this.#context;
    const { made: { route, client }, pair, upgrade } = await makeOffer(this.#context);
    let step: Step | null = null;
    try {
      step = await this.#interpreter.do(id, { type: "offered", pair, inbound: route, upgrade });
    } finally {
      if (!isIn(step, route)) await abandon(route);
    }
    if (isIn(step, route)) servers.created(subscribedInbound(this.#context, route), client);
  }

  #scheduleReceipt({ record: { id }, session }: Connection, worker: Worker): void {
    if (session === null || !session.receiptDue || session.status !== "active") return;
    if (this.#isClosed || this.#workers.get(id) !== worker) return;
    const now = performance.now();
    const isEarly = session.stored.upTo - worker.told >= receiptEvery;
    const due = Math.max(now + receiptDelay, isEarly ? 0 : worker.receiptAt + receiptInterval);
    if (due >= worker.receiptDue) return;
    worker.receiptDue = due;
    clearTimeout(worker.receipt);
    worker.receipt = setTimeout(() => {
      worker.receiptDue = Infinity;
      worker.receiptAt = performance.now();
      worker.isReceiptTimed = true;
      this.look(id);
    }, due - now);
  }
}

function newTask(): Task {
  return { work: null, isWoken: false, pause: new Pause() };
}

/** Whether a route that was made belongs to its connection. */
function isIn(step: Step | null, route: InboundRoute): boolean {
  return step?.connection.inbound.includes(route) ?? false;
}

/** The queues that are subscribed to as long as something waits to be sent or to be receipted. */
function heardQueues(connection: Connection, context: AgentContext): SubscribedQueue[] {
  const { session, receiving, inbound } = connection;
  if (session === null || session.status === "closed") return [];
  if (session.lastNumber === readyNumber && session.ratchet === null) return [];
  if (session.receipted.upTo === session.lastNumber && unansweredRepair(session) === null) return [];
  return [
    ...receiving.map((route) => subscribedQueue(context, route)),
    ...inbound.map((route) => subscribedInbound(context, route)),
  ];
}

function isNeeded(connection: Connection, context: AgentContext): boolean {
  const { session } = connection;
  return session !== null &&
    (session.receiptDue || isGivingUpDue(session) || canEncrypt(session) || isOfferDue(connection) ||
      isFallBackDue(connection) ||
      routeNeed(connection, context) !== null);
}

/** Whether frames are left that do not go any more. */
function isGivingUpDue({ status, lastNumber, receipted }: Session): boolean {
  return status === "closed" && receipted.upTo < lastNumber;
}

/** Whether the joiner has to make its UPG. */
function isOfferDue({ record, session }: Connection): boolean {
  return session?.status === "agreed" && record.role === "joiner";
}

/** Whether the other agent has said HELLO and has no sessions. */
function isFallBackDue({ record, session }: Connection): boolean {
  return session?.status === "greeting" && record.role === "joiner" && record.extensions !== null;
}
