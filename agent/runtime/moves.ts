import { formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import { type LeaveProgress, mostRoutes } from "../options.ts";
import { AgentError } from "../protocol/error.ts";
import { isSuspended } from "../session/routes.ts";
import type { InboundRoute, LeavingReason } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";

/** What the application wants of the routes of sessions. */
export class Moves {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  /** Who waits for routes to end. */
  readonly #waiting = new Set<() => void>();

  /** Does nothing by itself. */
  constructor(context: AgentContext, interpreter: Interpreter) {
    this.#context = context;
    this.#interpreter = interpreter;
  }

  /** See `Agent.rotate`. */
  async rotate(alias: string): Promise<void> {
    const { record, session, inbound } = this.#context.connections.get(alias);
    if (session?.status !== "active") {
      throw new AgentError("CMD PROHIBITED", `Cannot move "${alias}": it has no session`);
    }
    if (isSuspended({ inbound })) {
      throw new AgentError(
        "CMD PROHIBITED",
        `Cannot move "${alias}": it is suspended, a new queue would undo that`,
      );
    }
    await this.#leave(record.id, inbound, "wish");
  }

  /** See `Agent.leave`; the server is not on the agent's list any more. */
  async *leave(server: ServerAddress): AsyncGenerator<LeaveProgress, void, void> {
    const name = formatAddress(server);
    const isThere = ({ keys }: { readonly keys: { readonly server: ServerAddress } }) =>
      formatAddress(keys.server) === name;
    const { connections, signal } = this.#context;
    for (const { record, inbound } of connections.all()) {
      await this.#leave(record.id, inbound.filter(isThere), "server");
    }
    for (let last = -1;;) {
      const ended = new Promise<void>((resolve) => this.#waiting.add(resolve));
      const all = connections.all();
      const count = (routes: readonly { readonly keys: { readonly server: ServerAddress } }[]) =>
        routes.filter(isThere).length;
      const left = count(all.flatMap(({ inbound }) => isSuspended({ inbound }) ? [] : inbound));
      const staying = count(all.flatMap(({ receiving }) => receiving)) +
        count(all.flatMap(({ inbound }) => isSuspended({ inbound }) ? inbound : []));
      if (left !== last) yield { left, staying };
      if (left === 0) return;
      last = left;
      await ended;
      if (signal.aborted) return;
    }
  }

  /** See `Agent.setRoutes`. */
  async setRoutes(alias: string, routes: number | null): Promise<void> {
    if (routes !== null && (!Number.isInteger(routes) || routes < 1 || routes > mostRoutes)) {
      throw new RangeError(`Cannot use ${routes} routes: give a whole number from 1 to ${mostRoutes}`);
    }
    const { record, session } = this.#context.connections.get(alias);
    if (session === null) throw new AgentError("CMD PROHIBITED", `"${alias}" has no session`);
    await this.#interpreter.do(record.id, { type: "routes wanted", routes });
  }

  /** Routes have ended, or the agent is being closed. */
  ended(): void {
    for (const tell of this.#waiting) tell();
    this.#waiting.clear();
  }

  async #leave(id: string, routes: readonly InboundRoute[], reason: LeavingReason): Promise<void> {
    if (routes.length === 0) return;
    await this.#interpreter.do(id, { type: "leave routes", routes: routes.map((route) => route.id), reason });
  }
}
