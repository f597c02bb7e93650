import type { UnfinishedMessage } from "../../protocol/mod.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";

/** Bytes of unfinished messages of all connections together. */
const mostBytes = 64 * 1024 * 1024;

interface Holder {
  readonly id: string;
  readonly unfinished: readonly UnfinishedMessage[];
  readonly bytes: number;
}

/** Keeps what all connections hold of unfinished messages within bounds: who holds the most gives up its oldest. */
export class PieceBudget {
  readonly #context: Pick<AgentContext, "connections">;
  readonly #interpreter: Pick<Interpreter, "do">;
  readonly #most: number;
  /** The connections that hold something. */
  readonly #holding = new Set<string>();

  /** Of `most` bytes. */
  constructor(
    context: Pick<AgentContext, "connections">,
    interpreter: Pick<Interpreter, "do">,
    most: number = mostBytes,
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#most = most;
  }

  /** Packets of a connection were stored. Throws what the store throws. */
  async settle(id: string): Promise<void> {
    this.#holding.add(id);
    for (;;) {
      const holders = [...this.#holding].map((id) => this.#holder(id));
      for (const { id, bytes } of holders) if (bytes === 0) this.#holding.delete(id);
      const total = holders.reduce((sum, { bytes }) => sum + bytes, 0);
      if (total <= this.#most) return;
      const most = holders.reduce((most, other) => other.bytes > most.bytes ? other : most);
      const { route, tag } = most.unfinished[0]!;
      await this.#interpreter.do(most.id, { type: "drop pieces", route, tag });
    }
  }

  #holder(id: string): Holder {
    const unfinished = this.#context.connections.find(id)?.reassembly?.unfinished ?? [];
    return { id, unfinished, bytes: unfinished.reduce((sum, { bytes }) => sum + bytes, 0) };
  }
}
