import { equalBytes } from "../../protocol/mod.ts";
import type { AgentContext } from "./context.ts";
import { type EncryptedReceipt, encryptReceipt } from "./frames.ts";
import type { Interpreter } from "./interpreter.ts";
import type { Workers } from "./workers.ts";

/**
 * Tells the other sides what has come. Each receipt takes a key of the ratchet, of which the other side skips so many at
 * most: a connection has no new one before a route has taken the last.
 */
export class Receipts {
  readonly #context: Pick<AgentContext, "connections" | "now">;
  readonly #interpreter: Pick<Interpreter, "do">;
  readonly #workers: Pick<Workers, "sendReceipt">;
  readonly #look: (id: string) => void;
  /** The receipts that no route has taken, by connection. */
  readonly #unsent = new Map<string, EncryptedReceipt>();

  /** Tells nothing yet; `look`: a connection has more to tell. */
  constructor(
    { context, interpreter, workers, look }: {
      readonly context: Pick<AgentContext, "connections" | "now">;
      readonly interpreter: Pick<Interpreter, "do">;
      readonly workers: Pick<Workers, "sendReceipt">;
      readonly look: (id: string) => void;
    },
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#workers = workers;
    this.#look = look;
  }

  /**
   * Has a receipt sent by all routes: one has to take it. Gives up to which frame it tells, `null` when there is none to
   * send. Throws what the store throws.
   */
  async send(id: string): Promise<number | null> {
    const receipt = this.#unsentOf(id) ?? await this.#encrypt(id);
    if (receipt === null) return null;
    for (const route of this.#context.connections.find(id)?.outbound ?? []) {
      this.#workers.sendReceipt(route.id, receipt, () => this.#taken(id, receipt));
    }
    return receipt.told.stored.upTo;
  }

  /** A connection was deleted. */
  forget(id: string): void {
    this.#unsent.delete(id);
  }

  #unsentOf(id: string): EncryptedReceipt | null {
    const receipt = this.#unsent.get(id);
    const ratchet = this.#context.connections.find(id)?.session?.ratchet;
    // Nobody can decrypt one of a session before this one.
    const isCurrent = receipt && ratchet && equalBytes(receipt.ratchet.transcript, ratchet.transcript);
    return isCurrent ? receipt : null;
  }

  async #encrypt(id: string): Promise<EncryptedReceipt | null> {
    const made: EncryptedReceipt[] = [];
    const step = await this.#interpreter.do(id, async (connection) => {
      const receipt = await encryptReceipt(connection, this.#context.now());
      if (receipt === null) return null;
      made.push(receipt);
      return { type: "receipt encrypted", ratchet: receipt.ratchet };
    });
    const [receipt] = made;
    if (step === null || receipt === undefined) return null;
    this.#unsent.set(id, receipt);
    return receipt;
  }

  #taken(id: string, receipt: EncryptedReceipt): void {
    if (this.#unsent.get(id) !== receipt) return;
    this.#unsent.delete(id);
    const session = this.#context.connections.find(id)?.session;
    const { stored, acknowledged } = receipt.told;
    if (session && (session.stored !== stored || session.acknowledged !== acknowledged)) this.#look(id);
  }
}
