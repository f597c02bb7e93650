import { formatAddress, parseServer, type ServerAddress } from "../protocol/mod.ts";
import type { SmpClientOptions } from "../client/mod.ts";

/** The passwords of the agent's servers, in memory alone: what is stored, told and invited with has addresses only. */
export class ServerPasswords {
  readonly #others: SmpClientOptions["password"];
  readonly #byAddress = new Map<string, string>();

  /** `others`: for servers that were given without one. */
  constructor(others: SmpClientOptions["password"]) {
    this.#others = others;
  }

  /** Takes the passwords out of what was given; those of before stay. Throws `ParseError`. */
  take(servers: readonly (string | ServerAddress)[]): readonly ServerAddress[] {
    return servers.map((given) => {
      if (typeof given !== "string") return given;
      const { server, password } = parseServer(given);
      if (password !== undefined) this.#byAddress.set(formatAddress(server), password);
      return server;
    });
  }

  /** That of a server, if it is known. */
  of(server: ServerAddress): string | undefined {
    const own = this.#byAddress.get(formatAddress(server));
    if (own !== undefined) return own;
    return typeof this.#others === "function" ? this.#others(server) : this.#others;
  }
}
