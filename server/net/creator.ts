import { equalBytes, passwordProof, passwordProofLength, type SmpErrorCode } from "../../protocol/mod.ts";
import type { Source } from "../guard/client_network.ts";
import type { NewQueues } from "../guard/new_queues.ts";
import { type WorkBudget, wrongPasswordWork } from "../guard/work_budget.ts";
import type { Metrics } from "../observe/metrics.ts";

interface CreatorParts {
  readonly newQueues: NewQueues;
  /** Wrong passwords are charged to it. */
  readonly budget: WorkBudget;
  readonly metrics: Metrics;
  readonly source: Source;
}

/** What one connection has shown of its right to create queues (extensions.md pass1). */
export class Creator {
  readonly #address: string | null;
  readonly #parts: CreatorParts;
  #password: string | null = null;

  constructor(address: string | null, parts: CreatorParts) {
    this.#address = address;
    this.#parts = parts;
  }

  mayCreate(): boolean {
    return this.#parts.newQueues.mayCreate(this.#password, this.#address);
  }

  /**
   * `binding`: of the session as it is now. `null`: the proof is right, or nobody needs one. What was shown last counts: a
   * wrong password takes a right one's place.
   */
  async pass(proof: Uint8Array, binding: Uint8Array): Promise<SmpErrorCode | null> {
    if (proof.length !== passwordProofLength) return "CMD SYNTAX";
    const { newQueues, budget, metrics, source } = this.#parts;
    const { password } = newQueues;
    const right = password === null ? null : await passwordProof(password, binding);
    this.#password = null;
    if (right === null) return null;
    // It tells nothing of the password, and an old one does not take the right away that the address has.
    if (this.mayCreate()) {
      if (equalBytes(proof, right)) this.#password = password;
      return null;
    }
    // Not even looked at, or guesses on many connections would cost no more than one.
    if (budget.clientDelay(source) > 0) {
      metrics.refuse("password_rate");
      return "QUOTA";
    }
    if (equalBytes(proof, right)) {
      this.#password = password;
      return null;
    }
    metrics.refuse("password");
    // Other commands of the connection go on, which have nothing to do with it.
    if (source.client !== null) budget.chargeClient(source, wrongPasswordWork);
    else budget.chargeConnection(source, wrongPasswordWork);
    return "AUTH";
  }
}
