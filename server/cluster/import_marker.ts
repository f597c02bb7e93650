import { encodeBase64, randomBytes } from "../../protocol/mod.ts";
import type { Bucket } from "./bucket.ts";
import { EngineError } from "./error.ts";

const key = "import";

/**
 * What an import has come to: `begun`, when no node may start any more and nothing was changed; `filling`, when the logs
 * have nothing but a part of it, which must not be served; `ended`, also when there was none.
 */
export type ImportState = "begun" | "filling" | "ended";

/** How far imports into a cluster have come. */
export async function importState(bucket: Bucket): Promise<ImportState> {
  return stateOf((await bucket.read(key))?.value);
}

/** How far this import has come, as nodes and other imports see it. */
export class ImportMarker {
  readonly #bucket: Bucket;
  /** What tells this import from others. */
  readonly #id = encodeBase64(randomBytes(12));
  #revision: number;
  #state: ImportState;

  private constructor(bucket: Bucket, revision: number, state: ImportState) {
    this.#bucket = bucket;
    this.#revision = revision;
    this.#state = state;
  }

  /** Reads what the import before has left. Rejects when that is not known. */
  static async read(bucket: Bucket): Promise<ImportMarker> {
    const entry = await bucket.read(key);
    return new ImportMarker(bucket, entry?.revision ?? 0, stateOf(entry?.value));
  }

  get state(): ImportState {
    return this.#state;
  }

  /**
   * Stores it. Rejects with `EngineError` (`CONTENT`) when another import has stored something meanwhile, and when it is
   * not known to be stored; it may be given again.
   */
  async set(state: ImportState): Promise<void> {
    const value = `${state} ${this.#id}`;
    let revision = await this.#bucket.write(key, value, this.#revision);
    if (revision === null) {
      // It may have been stored by an attempt before.
      const entry = await this.#bucket.read(key);
      if (entry?.value !== value) {
        throw new EngineError("CONTENT", "Cannot import: another import has begun meanwhile");
      }
      ({ revision } = entry);
    }
    this.#revision = revision;
    this.#state = state;
  }
}

function stateOf(value = "ended"): ImportState {
  const [state] = value.split(" ");
  // What a later version may store must not be served either.
  return state === "ended" || state === "begun" ? state : "filling";
}
