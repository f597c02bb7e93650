import { equalBytes } from "../bytes.ts";
import { isEncapsulationKey } from "../crypto/ml_kem.ts";
import { keyedCrypto } from "../crypto/runtime.ts";
import { concat } from "./_bytes.ts";
import {
  decodeHeader,
  headerLength,
  type HeaderRefusal,
  largestMessage,
  type RatchetHeader,
} from "./header.ts";
import { advance, messageKeyOf, messageSecrets, nextChainKey, stepToReceive } from "./kdf.ts";
import {
  findSkipped,
  hasSkipped,
  mostSkipped,
  type SkippedKey,
  withoutExpired,
  withSkipped,
} from "./skipped.ts";
import {
  longestChain,
  mostKnownChains,
  type OtherTurn,
  type RatchetState,
  type ReceivingChain,
  sessionOf,
} from "./state.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** How far a message may be beyond the next one of its chain. */
export const largestGap: number = mostSkipped;

/**
 * Why a message is not decrypted. All but `DAMAGED` and `REWOUND` are found before any key is derived.
 *
 * | code | meaning |
 * |---|---|
 * | `SHORT` | it has not the bytes of its header and a tag |
 * | `LARGE` | it is longer than any message |
 * | `VERSION` | its header is of a version to come |
 * | `SESSION` | it is of another session |
 * | `OWN_KEY` | its chain is this side's own |
 * | `FAR` | it is more than 2 000 beyond the next message of its chain, or beyond the last that a chain can have |
 * | `UNEXPECTED_CHAIN` | it begins a chain, and this side has sent nothing that the other could answer with one |
 * | `USED` | its key is gone: it was decrypted before, or is too old |
 * | `REWOUND` | it is authentic and ends a chain before messages of it that have come: its sender has an older state |
 * | `DAMAGED` | it is not authentic, or a key in its header is not valid |
 */
export type DecryptRefusal =
  | HeaderRefusal
  | "LARGE"
  | "SESSION"
  | "OWN_KEY"
  | "FAR"
  | "UNEXPECTED_CHAIN"
  | "USED"
  | "REWOUND"
  | "DAMAGED";

/** What a message says and the state after it; or why it cannot be read, and then the state stays as it was. */
export type Decrypted =
  | { readonly ok: true; readonly state: RatchetState; readonly plaintext: Uint8Array<ArrayBuffer> }
  | { readonly ok: false; readonly code: DecryptRefusal };

/** A message that was taken apart. */
interface Sealed {
  readonly header: RatchetHeader;
  readonly additional: Bytes;
  readonly ciphertext: Bytes;
}

/**
 * Decrypts a message (sessions.md Session cryptography). The new state has to be stored with what the message does.
 * `now`: milliseconds since 1970. Skipped keys that are too old by then are gone.
 */
export async function ratchetDecrypt(
  state: RatchetState,
  message: Uint8Array<ArrayBuffer>,
  now: number,
): Promise<Decrypted> {
  if (message.length > largestMessage) return refuse("LARGE");
  const decoded = decodeHeader(message);
  if (!decoded.ok) return decoded;
  const { header } = decoded;
  if (!equalBytes(header.session, sessionOf(state))) return refuse("SESSION");
  if (equalBytes(header.dh, state.ownKey)) return refuse("OWN_KEY");
  const sealed = {
    header,
    additional: concat(state.transcript, message.subarray(0, headerLength)),
    ciphertext: message.subarray(headerLength),
  };
  const { receiving, known, skipped, turn } = state;
  if (receiving !== null && equalBytes(receiving.dh, header.dh)) {
    return header.number < receiving.number
      ? await decryptSkipped(state, sealed, now)
      : await decryptOnChain(state, receiving, sealed, now);
  }
  if (known.some((dh) => equalBytes(dh, header.dh)) || hasSkipped(skipped, header.dh)) {
    return await decryptSkipped(state, sealed, now);
  }
  if (turn.side === "own") return refuse("UNEXPECTED_CHAIN");
  return await decryptOnNewChain(state, turn, sealed, now);
}

async function decryptSkipped(state: RatchetState, sealed: Sealed, now: number): Promise<Decrypted> {
  const { dh, number } = sealed.header;
  const entry = findSkipped(state.skipped, { dh, number, now });
  if (entry === null) return refuse("USED");
  const plaintext = await open(sealed, entry.key);
  if (plaintext === null) return refuse("DAMAGED");
  const skipped = withoutExpired(state.skipped, now).filter((other) => other !== entry);
  return { ok: true, state: { ...state, skipped }, plaintext };
}

async function decryptOnChain(
  state: RatchetState,
  receiving: ReceivingChain,
  sealed: Sealed,
  now: number,
): Promise<Decrypted> {
  const gap = sealed.header.number - receiving.number;
  if (gap > largestGap || sealed.header.number >= longestChain) return refuse("FAR");
  const opened = await openOn(receiving, gap, sealed, now);
  if (opened === null) return refuse("DAMAGED");
  const skipped = withSkipped(withoutExpired(state.skipped, now), opened.skipped);
  return { ok: true, state: { ...state, receiving: opened.chain, skipped }, plaintext: opened.plaintext };
}

async function decryptOnNewChain(
  state: RatchetState,
  turn: OtherTurn,
  sealed: Sealed,
  now: number,
): Promise<Decrypted> {
  const { number, previous, kem, ciphertext } = sealed.header;
  if (number > largestGap) return refuse("FAR");
  if (!isEncapsulationKey(kem)) return refuse("DAMAGED");
  const dh = sealed.header.dh.slice();
  const step = await stepToReceive(state.rootKey, turn.pair, { dh, ciphertext });
  if (step === null) return refuse("DAMAGED");
  const opened = await openOn({ dh, chainKey: step.chainKey, number: 0 }, number, sealed, now);
  if (opened === null) return refuse("DAMAGED");
  const { receiving } = state;
  if (receiving !== null && previous < receiving.number) return refuse("REWOUND");
  const skipped = [...await skippedBefore(receiving, previous, now), ...opened.skipped];
  const next: RatchetState = {
    ...state,
    rootKey: step.rootKey,
    // The private half of the pair has done all that it was for.
    turn: { side: "own", remote: { dh, kem: kem.slice() } },
    previous: turn.sending?.number ?? 0,
    receiving: opened.chain,
    known: receiving === null ? state.known : [...state.known, receiving.dh].slice(-mostKnownChains),
    skipped: withSkipped(withoutExpired(state.skipped, now), skipped),
  };
  return { ok: true, state: next, plaintext: opened.plaintext };
}

/** Decrypts the message that is `gap` beyond the next one of a chain: the chain after it, and the keys before it. */
async function openOn(chain: ReceivingChain, gap: number, sealed: Sealed, now: number) {
  const { messageKeys, chainKey } = await advance(chain.chainKey, gap);
  const messageKey = await messageKeyOf(chainKey);
  const plaintext = await open(sealed, messageKey);
  messageKey.fill(0);
  if (plaintext === null) return null;
  const after = { ...chain, chainKey: await nextChainKey(chainKey), number: chain.number + gap + 1 };
  return { plaintext, chain: after, skipped: entriesOf(chain, messageKeys, now) };
}

/** The keys that a chain that was ended after `length` messages still has; none when there are more than may be kept. */
async function skippedBefore(chain: ReceivingChain | null, length: number, now: number) {
  const gap = chain === null ? 0 : length - chain.number;
  if (chain === null || gap <= 0 || gap > largestGap) return [];
  return entriesOf(chain, (await advance(chain.chainKey, gap)).messageKeys, now);
}

function entriesOf({ dh, number }: ReceivingChain, messageKeys: readonly Bytes[], at: number): SkippedKey[] {
  return messageKeys.map((key, i) => ({ dh, number: number + i, key, at }));
}

async function open({ header, additional, ciphertext }: Sealed, messageKey: Bytes): Promise<Bytes | null> {
  const { key, nonce } = await messageSecrets(messageKey, header.salt);
  const plaintext = await keyedCrypto().open(ciphertext, { key, nonce, additional });
  for (const used of [key, nonce]) used.fill(0);
  return plaintext;
}

function refuse(code: DecryptRefusal): Decrypted {
  return { ok: false, code };
}
