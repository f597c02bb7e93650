import { makePublicKey, modulusLength, type PublicKey } from "../protocol/mod.ts";
import { bytesToBigint } from "../protocol/crypto/bigint.ts";
import { randomBytes } from "../protocol/bytes.ts";
import type { Source } from "./refusal_budget.ts";
import { type ExponentClass, exponentClass, type Verifier } from "./verifier.ts";

/** A function that verifies a PSS signature for someone. */
export type Verify = Verifier["verify"];

/** A signature and what it covers. */
export interface Signed {
  readonly signature: Uint8Array<ArrayBuffer>;
  readonly signed: Uint8Array<ArrayBuffer>;
}

/** What a verification takes where there is no key, and whom it is done for. */
export interface Effort {
  readonly costs: ExponentClass;
  readonly source: Source;
}

const standardExponent = 65537n;
const largeExponentLength = 128;
/** Length of the signature that is verified for a command without one. */
const unsignedLength = 256;
const remembered = 256;

/**
 * Decides whether a signature authorizes a command, in a time that does not tell why it does not:
 * every refusal costs one verification of a signature of the same length (smp.md Authorization).
 */
export class Authorizer {
  readonly #verify: Verify;
  readonly #charge: (source: Source, key: PublicKey) => void;
  readonly #secret = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly #dummies = new Map<string, PublicKey>();
  /** The classes of the keys that were last used with success: what an unknown queue's key might have been. */
  readonly #lastClasses: ExponentClass[] = [];
  #nextClass = 0;
  #inWork = 0;

  /** `charge` is told of every refusal: for whom, and a key whose verification takes as long. */
  constructor(verify: Verify, charge: (source: Source, key: PublicKey) => void = () => {}) {
    this.#verify = verify;
    this.#charge = charge;
  }

  /** How many verifications are under way. */
  get inWork(): number {
    return this.#inWork;
  }

  /** Whether `signed` has a valid signature by `key`; without a key never, after a verification with a key of `costs`. */
  async verify(
    key: PublicKey | null,
    { signature, signed }: Signed,
    { costs, source }: Effort,
  ): Promise<boolean> {
    if (key === null || modulusLength(key.bits) !== signature.length) {
      await this.refuse({ signature, signed }, { costs, source });
      return false;
    }
    const valid = await this.#counted(key, signature, signed, source);
    if (valid) this.#remember(exponentClass(key));
    else this.#charge(source, key);
    return valid;
  }

  /** Does the work of a verification for a command that is not authorized whatever its signature says. */
  async refuse({ signature, signed }: Signed, { costs, source }: Effort): Promise<void> {
    const dummy = this.#dummy(signature.length || unsignedLength, costs);
    this.#charge(source, dummy);
    await this.#counted(
      dummy,
      signature.length > 0 ? signature : randomBytes(unsignedLength),
      signed,
      source,
    );
  }

  /**
   * The class that the keys of a queue which does not exist would have: always the same for one ID as long as the
   * share of large exponents among the peers is, and over all IDs as often "large" as among them.
   */
  classOfUnknown(queueId: string): ExponentClass {
    let large = 0;
    for (const known of this.#lastClasses) if (known === "large") large++;
    return keyedHash(this.#secret, queueId) * this.#lastClasses.length < large * 2 ** 32 ? "large" : "small";
  }

  async #counted(...work: Parameters<Verify>): Promise<boolean> {
    this.#inWork++;
    try {
      return await this.#verify(...work);
    } finally {
      this.#inWork--;
    }
  }

  #remember(used: ExponentClass): void {
    this.#lastClasses[this.#nextClass] = used;
    this.#nextClass = (this.#nextClass + 1) % remembered;
  }

  /** A modulus that nobody can have prepared a signature for; that it has no known factors makes no difference. */
  #dummy(length: number, costs: ExponentClass): PublicKey {
    const name = `${length} ${costs}`;
    let dummy = this.#dummies.get(name);
    if (dummy === undefined) {
      const bytes = randomBytes(length);
      bytes[0]! |= 0x80;
      bytes[length - 1]! |= 1;
      const exponent = costs === "small" ? standardExponent : bytesToBigint(randomExponent());
      dummy = makePublicKey(bytesToBigint(bytes), exponent);
      this.#dummies.set(name, dummy);
    }
    return dummy;
  }
}

function randomExponent(): Uint8Array {
  const bytes = randomBytes(largeExponentLength);
  bytes[0] = bytes[0]! & 0x7f | 0x40;
  bytes[largeExponentLength - 1]! |= 1;
  return bytes;
}

/** A number from 0 to 2 ** 32 - 1. It need not be more than spread well: only the time of a refusal shows it. */
function keyedHash(secret: number, text: string): number {
  let hash = secret;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
