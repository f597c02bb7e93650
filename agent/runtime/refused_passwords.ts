import { formatAddress, type ServerAddress, type SmpError } from "../../protocol/mod.ts";

/** Milliseconds for which a server is not shown again that a password is known that it has refused. */
const pause = 30_000;
/** Milliseconds between connections to a server that are made because it may have begun to want a password. */
const reconnectPause = 600_000;

/**
 * Passwords that servers have refused. A server counts wrong ones by address: an agent whose many connections try again by
 * themselves would keep everybody of its address from showing the right one.
 */
export class RefusedPasswords {
  readonly #now: () => number;
  readonly #byAddress = new Map<
    string,
    { readonly password: string; readonly error: SmpError; readonly until: number }
  >();

  /** Until when servers are not connected to again. */
  readonly #reconnected = new Map<string, number>();

  /** `now`: milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Throws what the server has refused this password with a short time ago. */
  check(server: ServerAddress, password: string): void {
    const name = formatAddress(server);
    const refused = this.#byAddress.get(name);
    if (refused === undefined) return;
    if (refused.until <= this.#now()) this.#byAddress.delete(name);
    else if (refused.password === password) throw refused.error;
  }

  /**
   * Whether a server is to be connected to again that has refused a queue without having asked for a password, and that it is
   * done now: it may take no queues at all, and all that is received from it would be subscribed to at each try.
   */
  takeReconnect(server: ServerAddress): boolean {
    const name = formatAddress(server);
    const now = this.#now();
    if ((this.#reconnected.get(name) ?? now) > now) return false;
    this.#reconnected.set(name, now + reconnectPause);
    return true;
  }

  /** The server has refused it now. */
  add(server: ServerAddress, password: string, error: SmpError): void {
    this.#byAddress.set(formatAddress(server), { password, error, until: this.#now() + pause });
  }
}
