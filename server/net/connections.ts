import { type Channel, passwordExtension, serverHandshake, type SessionKeys } from "../../protocol/mod.ts";
import type { ServerIdentity } from "../config/identity.ts";
import type { Admitted } from "../guard/admission.ts";
import { countedNetworks } from "../guard/client_network.ts";
import type { ReplayGuard } from "../guard/replay_guard.ts";
import type { StallWatch } from "../guard/stall_watch.ts";
import { Session, type SessionParts } from "./session.ts";

export interface ConnectionParts extends SessionParts {
  readonly identity: ServerIdentity;
  readonly blockSize: number;
  readonly replayGuard: Pick<ReplayGuard, "isNew">;
  readonly stall: Pick<StallWatch, "look" | "listen">;
}

export class Connections {
  readonly #parts: ConnectionParts;
  readonly #works = new Map<Channel, Promise<void>>();
  readonly #handshaking = new Set<Channel>();
  readonly #sessions = new Set<Session>();
  #isStopping = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    parts.stall.listen(() => this.#closeStalled());
  }

  get size(): number {
    return this.#works.size;
  }

  /** Resolves when it has ended, never rejects. */
  serve(channel: Channel, admitted: Admitted): Promise<void> {
    this.#parts.metrics.connectionsAccepted++;
    const work = this.#serve(channel, admitted).finally(() => {
      this.#works.delete(channel);
      admitted.left();
    });
    this.#works.set(channel, work);
    return work;
  }

  closeSlow(): void {
    const { limits, metrics } = this.#parts;
    const before = performance.now() - limits().writeTimeout;
    for (const session of this.#sessions) {
      if (session.closed || session.writingSince > before) continue;
      metrics.slowPeersClosed++;
      session.close();
    }
  }

  /** smp.md Limits: sooner when they subscribe to nothing. */
  closeIdle(): void {
    const { limits, metrics, broker } = this.#parts;
    const now = performance.now();
    const { idleTimeout, silentTimeout } = limits();
    for (const session of this.#sessions) {
      const timeout = broker.isSubscribed(session) ? silentTimeout : idleTimeout || silentTimeout;
      if (session.closed || timeout === 0 || session.lastRead > now - timeout) continue;
      metrics.refuse("idle");
      session.close();
    }
  }

  /**
   * Ends connections of whoever holds most by them, those first that hold most, until they have given back `bytes`. No
   * address gives of what it holds up to `least`.
   */
  closeHolders({ bytes, least }: { readonly bytes: number; readonly least: number }): void {
    const holders = holdersAbove(least, this.#sessions);
    for (let left = bytes; left > 0;) {
      const most = holders.reduce((most, one) => one.held > most.held ? one : most, noHolder);
      const session = most.held > least ? most.sessions.pop() : undefined;
      if (session === undefined) return;
      left -= session.held;
      most.held -= session.held;
      this.#parts.metrics.refuse("memory_held");
      session.close();
    }
  }

  /** A SUB that waits, of a connection that is gone, would take the queue from the client's next one. */
  #closeStalled(): void {
    for (const session of this.#sessions) {
      this.#parts.metrics.refuse("stalled");
      session.close();
    }
  }

  /** Takes no further commands; resolves when all in work are answered and all connections have ended. */
  async finish(): Promise<void> {
    this.#isStopping = true;
    for (const channel of this.#handshaking) channel.close();
    const sessions = [...this.#sessions].map((session) => session.stop());
    await Promise.all([...sessions, ...this.#works.values()]);
  }

  async close(): Promise<void> {
    const works = [...this.#works];
    await Promise.all([...works.map(([channel]) => channel.close()), ...works.map(([, work]) => work)]);
  }

  async #serve(channel: Channel, admitted: Admitted): Promise<void> {
    const { identity, blockSize, extensions, limits, metrics, stall, newQueues } = this.#parts;
    let timer = closesAfter(limits().handshakeTimeout, channel);
    this.#handshaking.add(channel);
    const knowsPass = newQueues.password !== null;
    let blocks;
    try {
      blocks = await serverHandshake(channel, {
        ...identity.keyPair,
        blockSize,
        extensions: knowsPass ? [...extensions, passwordExtension] : [...extensions],
        isNew: (keys) => this.#isNew(keys),
        arrived: () => {
          admitted.spoke();
          // The peer was in time; what follows is this side's own work, which takes long on a busy machine.
          timer.clear();
          timer = closesAfter(limits().handshakeTimeout, channel);
        },
      });
    } catch {
      // transport.md Handshake, 4: closed without an answer, whatever it was
      metrics.handshakesFailed++;
      return await channel.close();
    } finally {
      timer.clear();
      this.#handshaking.delete(channel);
    }
    metrics.handshakesDone++;
    admitted.established();
    const session = new Session(blocks, { ...this.#parts, runs: () => stall.look(), knowsPass }, admitted);
    this.#sessions.add(session);
    if (this.#isStopping) session.stop();
    await session.run();
    this.#sessions.delete(session);
  }

  async #isNew(keys: SessionKeys): Promise<boolean> {
    const isNew = await this.#parts.replayGuard.isNew(keys);
    if (!isNew) this.#parts.metrics.refuse("replay");
    return isNew;
  }
}

interface Holder {
  held: number;
  /** The last one holds most. */
  readonly sessions: Session[];
}

const noHolder: Holder = { held: 0, sessions: [] };

/** Addresses, and networks of IPv6 that count as one, whose connections hold more than `least`. */
function holdersAbove(least: number, sessions: Iterable<Session>): readonly Holder[] {
  const byNetwork = new Map<string, Holder>();
  for (const session of sessions) {
    const network = countedNetworks(session.client).at(-1)?.network;
    if (network === undefined || session.closed) continue;
    const holder = byNetwork.get(network) ?? { held: 0, sessions: [] };
    holder.held += session.held;
    holder.sessions.push(session);
    byNetwork.set(network, holder);
  }
  const holders = [...byNetwork.values()].filter(({ held }) => held > least);
  for (const { sessions } of holders) sessions.sort((a, b) => a.held - b.held);
  return holders;
}

/** Closes a channel after a time in two parts: who did not run for all of it first reads what has come meanwhile. */
function closesAfter(time: number, channel: Channel): { clear(): void } {
  let timer = setTimeout(() => {
    timer = setTimeout(() => channel.close(), time / 2);
  }, time / 2);
  return { clear: () => clearTimeout(timer) };
}
