import { assert } from "@std/assert";
import {
  generateRatchetPair,
  initiatorSession,
  joinerSession,
  offerSession,
  type RandomSource,
  ratchetDecrypt,
  ratchetEncrypt,
  type RatchetState,
  textBytes,
} from "../../protocol/mod.ts";

/** Random bytes that are always the same ones (xorshift). */
export function seededRandom(seed: number): RandomSource {
  let x = (seed | 0) || 1;
  return (length) =>
    Uint8Array.from({ length }, () => {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      return x >>> 24;
    });
}

/** Both sides of a session of which nothing was sent, always the same for a seed. */
export async function newSessions(seed = 1) {
  const random = seededRandom(seed);
  const joinerPair = await generateRatchetPair(random);
  const transcript = random(32);
  const offer = (await offerSession(joinerPair, random))!;
  const { pair, ciphertext } = offer;
  const joiner = await joinerSession(joinerPair, { initiator: pair, ciphertext, transcript });
  const initiator = await initiatorSession(offer, { joiner: joinerPair, transcript });
  assert(joiner !== null && initiator !== null);
  return { joiner, initiator };
}

/** One side of a session in a test. */
export class Side {
  constructor(public state: RatchetState) {}

  /** Encrypts text, which must work. */
  async send(text: string, random?: RandomSource): Promise<Uint8Array<ArrayBuffer>> {
    const encrypted = await ratchetEncrypt(this.state, textBytes(text), random);
    assert(encrypted.ok, `cannot send: ${encrypted.ok || encrypted.code}`);
    this.state = encrypted.state;
    return encrypted.message;
  }

  /** The text of a message, or the code with which it was refused. */
  async receive(message: Uint8Array<ArrayBuffer>, now = 0): Promise<string> {
    const decrypted = await ratchetDecrypt(this.state, message, now);
    if (!decrypted.ok) return decrypted.code;
    this.state = decrypted.state;
    return new TextDecoder().decode(decrypted.plaintext);
  }
}

/** The joiner and the initiator of a session, of which nothing was sent. */
export async function newSides(seed?: number): Promise<{ readonly joiner: Side; readonly initiator: Side }> {
  const { joiner, initiator } = await newSessions(seed);
  return { joiner: new Side(joiner.state), initiator: new Side(initiator.state) };
}
