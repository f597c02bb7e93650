import { bodyLength, formatAddress, packetLength, sealPacketInto, SmpError } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import type { AgentContext } from "../runtime/context.ts";
import type { OutboundRoute } from "../store/store.ts";
import { Buffers } from "./buffers.ts";
import type { StreamLink, StreamLinks } from "./links.ts";
import { Pace } from "./pace.ts";

/** Milliseconds without success after which the receiver is asked for another route, and between two times that it is. */
const patience = 10_000, askInterval = 30_000;

/** What a lane tells. */
export interface LanePorts {
  /** A server has taken a packet. */
  taken(): void;
  /** The route cannot be used, for good or for some time. */
  lost(): void;
}

/** Arrays that are kept to be used again: a window of them comes back at a time. */
const mostFree = 32;

interface Waiting {
  readonly number: number;
  readonly packet: Uint8Array<ArrayBuffer>;
}

/**
 * Sends the packets of one run by one route of the receiver, each until its server has taken it. The last one goes again
 * after a lost connection: the server may have been killed, and have lost it with those before it, which shows when it comes.
 */
export class Lane {
  readonly #context: AgentContext;
  readonly #links: StreamLinks;
  readonly #keys: OutboundRoute["keys"];
  readonly #packets: Buffers;
  readonly #bodies: Buffers;
  /** Who is told. */
  ports: LanePorts = { taken() {}, lost() {} };
  /** What no server is known to have, by number. */
  #waiting: Waiting[] = [];
  /** The last one that a server has taken; `null` while it goes again. */
  #last: Waiting | null = null;
  /** The number of the one that goes again. */
  #repeated = 0;
  /** Whether a server has taken one that it had not taken before, since the last failure. */
  #hasAdvanced = false;
  #linkedAt = 0;
  #onWay = 0;
  readonly #pace: Pace;
  #failure: { readonly error: unknown } | null = null;
  #link: StreamLink | null = null;
  #isGone = false;
  readonly #ending = new AbortController();
  readonly #pause = new Pause();
  #wake: (() => void) | null = null;
  readonly #work: Promise<void>;

  /** Sends nothing yet. */
  constructor(context: AgentContext, links: StreamLinks, keys: OutboundRoute["keys"]) {
    this.#context = context;
    this.#links = links;
    this.#keys = keys;
    const length = packetLength(keys.blockSize);
    this.#packets = new Buffers(length, mostFree);
    this.#bodies = new Buffers(bodyLength(keys.blockSize), mostFree);
    this.#pace = new Pace(links.answerTime);
    this.#work = this.#sendAll();
  }

  /** Bytes of the blocks that the receiver reads it with. */
  get blockSize(): number {
    return this.#keys.blockSize;
  }

  get #isClosed(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Packets that no server has taken. */
  get unanswered(): number {
    return this.#waiting.length + this.#onWay;
  }

  /** An array to write a packet to, that is then to be sent. */
  packet(): Uint8Array<ArrayBuffer> {
    return this.#packets.take();
  }

  /** Sends a packet after those before it. */
  send(number: number, packet: Uint8Array<ArrayBuffer>): void {
    this.#waiting.push({ number, packet });
    this.#wake?.();
  }

  /** Stops; resolves when nothing is on its way. */
  async close(): Promise<void> {
    // A receiver may name one server after the other that does not answer.
    this.#ending.abort();
    this.#waiting = [];
    this.#last = null;
    this.#pause.end();
    this.#wake?.();
    await this.#work;
  }

  async #sendAll(): Promise<void> {
    let failures = 0, since = 0, askedAt = -Infinity;
    while (!this.#isClosed) {
      const failure = this.#failure;
      const hasRoom = this.#onWay < this.#pace.most;
      if (failure === null && this.#waiting.length > 0 && hasRoom && !this.#isGone) {
        if (await this.#sendNext()) continue;
      } else if (failure !== null && this.#onWay === 0) {
        this.#failure = null;
        this.#pace.lost();
        const isLinked = this.#link !== null;
        this.#release();
        if (!(failure.error instanceof SmpError)) this.#repeatLast();
        // What was behind the one that failed may have come before it.
        this.#waiting.sort((a, b) => a.number - b.number);
        if (failure.error instanceof SmpError && failure.error.code === "AUTH") {
          this.#isGone = true;
          this.ports.lost();
          continue;
        }
        const isUrgent = this.#waiting.some(({ number }) => number !== this.#repeated);
        const now = performance.now(), { retry } = this.#context;
        const hasHeld = isLinked && !isUrgent && now - this.#linkedAt > retry.most;
        // A server that takes what goes again and closes each connection is not one that is back.
        if (this.#hasAdvanced || hasHeld) failures = 0;
        this.#hasAdvanced = false;
        if (failures++ === 0 || !isUrgent) since = now;
        if (isUrgent && now - since > patience && now - askedAt > askInterval) {
          askedAt = now;
          this.ports.lost();
        }
        await this.#pause.wait(backoffDelay(retry, failures));
      } else {
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = null;
      }
    }
    this.#release();
  }

  /** Whether the next packet is on its way. */
  async #sendNext(): Promise<boolean> {
    try {
      const { senderId, senderKey, server, blockSize } = this.#keys;
      const link = this.#link ??= await this.#use(server);
      const { client } = link;
      if (client.blockSize < blockSize) {
        throw new Error(`Blocks of ${formatAddress(server)} are smaller here than the receiver's`);
      }
      const key = await this.#context.keys.signing(senderKey);
      const { way } = this.#links;
      if (!way.hasTime) await way.look();
      const next = this.#waiting[0];
      if (next === undefined || this.#isClosed) return false;
      const body = this.#bodies.take();
      await sealPacketInto(body, next.packet, this.#keys);
      this.#waiting.shift();
      this.#onWay++;
      void this.#settle(next, body, client.send({ senderId, senderKey: key }, body, { isLent: true }));
      return true;
    } catch (error) {
      this.#failure ??= { error };
      return false;
    }
  }

  async #settle(sent: Waiting, body: Uint8Array<ArrayBuffer>, answer: Promise<void>): Promise<void> {
    const sentAt = performance.now(), onWay = this.#onWay;
    try {
      await answer;
      this.#pace.answered(onWay, performance.now() - sentAt);
      // After a failure it may still be on its way.
      this.#bodies.give(body);
      this.#hasAdvanced ||= sent.number !== this.#repeated;
      this.#keepLast(sent);
      this.#onWay--;
      this.ports.taken();
    } catch (error) {
      this.#onWay--;
      this.#waiting.push(sent);
      this.#failure ??= { error };
    }
    this.#wake?.();
  }

  /** Keeps the packet with the greatest number of those that were taken. */
  #keepLast(taken: Waiting): void {
    const last = this.#last;
    const isLast = last === null || taken.number > last.number;
    if (isLast) this.#last = taken;
    const done = isLast ? last : taken;
    if (done !== null) this.#packets.give(done.packet);
  }

  #repeatLast(): void {
    if (this.#last === null) return;
    this.#repeated = this.#last.number;
    this.#waiting.push(this.#last);
    this.#last = null;
  }

  /** A connection; that it is lost is a failure also when nothing is on its way. */
  async #use(server: OutboundRoute["keys"]["server"]): Promise<StreamLink> {
    const link = await this.#links.use(server, this.#ending.signal);
    this.#linkedAt = performance.now();
    void link.client.closed.then((error) => {
      if (this.#link !== link || this.#isClosed) return;
      this.#failure ??= { error };
      this.#wake?.();
    });
    return link;
  }

  #release(): void {
    this.#link?.release();
    this.#link = null;
  }
}
