import { SmpClient } from "@simplexmq/smp/client";
import { isPassword, parseAddress, SmpError, TransportError } from "@simplexmq/smp/protocol";
import type { PageConfig } from "../smp_server.ts";
import { transportTo } from "./servers.ts";

/** Where it is stored which servers want a password. */
const key = "smp-web-chat servers with password";

/** Whether conversations can be made on a server; a `problem` is none that a password would solve. */
export type Access =
  | { readonly type: "open" }
  | { readonly type: "password"; readonly isWrong: boolean }
  | { readonly type: "problem"; readonly text: string };

/**
 * The passwords of servers that want one from those who create queues (extensions.md pass1). They are nowhere but in the
 * memory of this page; which servers want one is stored, so that the page asks again after it was loaded.
 */
export class Passwords {
  readonly #config: PageConfig;
  readonly #known = new Map<string, string>();
  readonly #wanted = new Set(localStorage.getItem(key)?.split("\n"));
  /** Told when servers have taken their passwords. */
  readonly #taken = new Map<string, PromiseWithResolvers<void>>();
  #asking: Promise<unknown> = Promise.resolve();

  /** Knows of no password yet. */
  constructor(config: PageConfig) {
    this.#config = config;
  }

  /** That of a server's address, if it is known. */
  of(address: string): string | undefined {
    return this.#known.get(address);
  }

  /** Takes one; `false` where it can be none. */
  give(address: string, password: string): boolean {
    if (!isPassword(password)) return false;
    this.#known.set(address, password);
    return true;
  }

  /** A server has taken its password. */
  taken(address: string): void {
    this.#taken.get(address)?.resolve();
    this.#taken.delete(address);
  }

  /** Resolves when a server has taken its password. */
  whenTaken(address: string): Promise<void> {
    const waiting = this.#taken.get(address) ?? Promise.withResolvers<void>();
    this.#taken.set(address, waiting);
    return waiting.promise;
  }

  /** Whether a server has wanted a password that the page does not have. */
  isMissing(address: string): boolean {
    return this.#wanted.has(address) && !this.#known.has(address);
  }

  /** Asks a person, when all who have asked before have their answer. */
  inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const turn = this.#asking.then(ask);
    this.#asking = turn.catch(() => {});
    return turn;
  }

  /** Creates a queue on a server, and deletes it. */
  async try(address: string): Promise<Access> {
    const password = this.#known.get(address);
    const { host } = parseAddress(address);
    try {
      await using client = await SmpClient.connect(address, {
        transport: transportTo(this.#config),
        ...(password !== undefined && { password }),
      });
      try {
        await client.deleteQueue(await client.createQueue());
      } catch (error) {
        if (!(error instanceof SmpError)) throw error;
        return this.#refused(address, error, client);
      }
      if (password === undefined) this.#note(address, false);
      return { type: "open" };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      const text = `${host} cannot be reached by WebSockets as this server: ${error.message}.`;
      return { type: "problem", text };
    }
  }

  #refused(address: string, { code, message }: SmpError, client: SmpClient): Access {
    const { host } = parseAddress(address);
    if (code === "QUOTA") {
      const text = `${host} takes no more tries from your network now: wait some seconds, then try again.`;
      return { type: "problem", text };
    }
    if (code !== "AUTH") return { type: "problem", text: `${host}: ${message}.` };
    if (!client.extensions.includes("pass1")) {
      const text = `${host} takes no conversations from you: ask whoever runs it, or choose another server.`;
      return { type: "problem", text };
    }
    const isWrong = this.#known.delete(address);
    this.#note(address, true);
    return { type: "password", isWrong };
  }

  #note(address: string, isWanted: boolean): void {
    if (isWanted) this.#wanted.add(address);
    else if (!this.#wanted.delete(address)) return;
    if (this.#wanted.size === 0) localStorage.removeItem(key);
    else localStorage.setItem(key, [...this.#wanted].join("\n"));
  }
}

/** Forgets which servers want a password. */
export function forgetPasswords(): void {
  localStorage.removeItem(key);
}
