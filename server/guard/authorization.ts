import {
  bytesToBigint,
  makePublicKey,
  modulusLength,
  type PublicKey,
  randomBytes,
} from "../../protocol/mod.ts";
import type { QueueRecord } from "../store/store.ts";
import type { Source } from "./client_network.ts";
import { keyedHash } from "./keyed_hash.ts";
import { type ExponentClass, exponentClass, type Verifier } from "./verifier.ts";

export type Verify = Verifier["verify"];

export type Charge = (source: Source, key: PublicKey, isValid: boolean) => void;

export interface Signed {
  readonly signature: Uint8Array<ArrayBuffer>;
  readonly signed: Uint8Array<ArrayBuffer>;
  readonly queueId: string;
}

export interface Effort {
  readonly costs: ExponentClass;
  readonly source: Source;
}

const standardExponent = 65537n;
const largeExponentLength = 128;
const unsignedLength = 256;
const remembered = 256;
/** For one length and class, so that unknown queues differ among each other as others do. */
const dummiesOfAKind = 64;

/** smp.md Authorization: every refusal costs one verification of a signature of the same length. */
export class Authorizer {
  readonly #verify: Verify;
  readonly #charge: Charge;
  readonly #secret = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly #dummies = { small: new Map<number, PublicKey[]>(), large: new Map<number, PublicKey[]>() };
  readonly #lastClasses: ExponentClass[] = [];
  #largeOfLast = 0;
  #nextClass = 0;
  #inWork = 0;

  constructor(verify: Verify, charge: Charge = () => {}) {
    this.#verify = verify;
    this.#charge = charge;
  }

  get inWork(): number {
    return this.#inWork;
  }

  async verify(
    key: PublicKey | null,
    { signature, signed, queueId }: Signed,
    { costs, source }: Effort,
  ): Promise<boolean> {
    // Always looked for, so that it takes no longer when it is used.
    const dummy = this.#dummy(signature.length || unsignedLength, costs, queueId);
    const isDecided = key !== null && modulusLength(key.bits) === signature.length;
    const used = isDecided ? key : dummy;
    const verified = signature.length > 0 ? signature : randomBytes(unsignedLength);
    const valid = await this.#counted(used, verified, signed, source) && isDecided;
    if (valid) this.#remember(exponentClass(used));
    this.#charge(source, used, valid);
    return valid;
  }

  /**
   * Stands for a queue that does not exist: no signature fits. Its class is always the same for one ID as
   * long as the share of large exponents among the peers is, and over all IDs as often "large" as among them.
   */
  unknownQueue(queueId: string): QueueRecord {
    const isLarge = keyedHash(this.#secret, queueId) * this.#lastClasses.length < this.#largeOfLast * 2 ** 32;
    return isLarge ? unknownQueues.large : unknownQueues.small;
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
    if (this.#lastClasses[this.#nextClass] === "large") this.#largeOfLast--;
    if (used === "large") this.#largeOfLast++;
    this.#lastClasses[this.#nextClass] = used;
    this.#nextClass = (this.#nextClass + 1) % remembered;
  }

  /** A modulus that nobody can have prepared a signature for; that it has no known factors makes no difference. */
  #dummy(length: number, costs: ExponentClass, queueId: string): PublicKey {
    let dummies = this.#dummies[costs].get(length);
    if (dummies === undefined) {
      dummies = Array.from({ length: dummiesOfAKind }, () => makeDummy(length, costs));
      this.#dummies[costs].set(length, dummies);
    }
    return dummies[keyedHash(~this.#secret, queueId) % dummiesOfAKind]!;
  }
}

function makeDummy(length: number, costs: ExponentClass): PublicKey {
  const bytes = randomBytes(length);
  bytes[0]! |= 0x80;
  bytes[length - 1]! |= 1;
  const exponent = costs === "small" ? standardExponent : bytesToBigint(randomExponent());
  return makePublicKey(bytesToBigint(bytes), exponent);
}

function randomExponent(): Uint8Array {
  const bytes = randomBytes(largeExponentLength);
  bytes[0] = bytes[0]! & 0x7f | 0x40;
  bytes[largeExponentLength - 1]! |= 1;
  return bytes;
}

/** Shorter than any signature. */
const unknownModulus = 2n ** 127n + 1n;
const unknownQueues = {
  small: unknownRecord(makePublicKey(unknownModulus, standardExponent)),
  large: unknownRecord(makePublicKey(unknownModulus, 2n ** 126n + 1n)),
};

function unknownRecord(key: PublicKey): QueueRecord {
  const state = { suspended: false, changedAt: 0 };
  return { recipientId: "", senderId: "", recipientKey: key, senderKey: key, ...state };
}
