import {
  decodeHeader,
  encodeBase64,
  equalBytes,
  type RatchetState,
  type ReceivingChain,
  tagLength,
} from "../../protocol/mod.ts";
import type { OpenedPackets } from "../session/arrival.ts";
import { isAnother, withTag } from "../session/chain_tags.ts";
import type { Connection } from "../store/store.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Messages of which is known that they have come, and by which routes where there are several. */
const mostHeard = 128;

/** What the last messages of the other side are known by when they, or others in their places, come again. */
export class HeardMessages {
  /** Routes with the tags of the messages that came by them last. */
  readonly #heard: string[];
  /** The places of the messages that were decrypted last, with their tags. */
  readonly #decrypted: string[];
  #tags: Bytes | undefined;

  /** Those of a connection as it is stored. */
  constructor({ heard = [], decrypted = [], session }: Connection) {
    this.#heard = [...heard];
    this.#decrypted = [...decrypted];
    this.#tags = session!.tags;
  }

  /** What is kept of them. */
  kept(): Pick<OpenedPackets, "heard" | "decrypted" | "tags"> {
    return {
      heard: this.#heard.slice(-mostHeard),
      decrypted: this.#decrypted.slice(-mostHeard),
      ...this.#tags && { tags: this.#tags },
    };
  }

  /** A message has come by a route, of several; whether it had by other ones alone: the other side sends each by all of them. */
  hear(message: Bytes, route: string): boolean {
    const tag = tagOf(message);
    const name = `${route} ${tag}`;
    if (this.#heard.includes(name)) return false;
    const isCopy = this.#heard.some((other) => other.endsWith(` ${tag}`));
    this.#heard.push(name);
    return isCopy;
  }

  /** A message was decrypted. */
  decrypted(message: Bytes): void {
    this.#decrypted.push(`${placeOf(message)} ${tagOf(message)}`);
  }

  /** A message is known by its tag as long as it is one of the last of its chain, which had so many before. */
  keepTag(message: Bytes, before: number, { dh, number: after }: ReceivingChain): void {
    const decoded = decodeHeader(message);
    if (!decoded.ok || !equalBytes(decoded.header.dh, dh)) return;
    const { number } = decoded.header;
    this.#tags = withTag(this.#tags ?? new Uint8Array(0), { message, number }, [before, after]);
  }

  /** Whether a message has the place of one of the last ones of the chain, or of a short time ago, and is another one. */
  isAnother(message: Bytes, receiving: RatchetState["receiving"]): boolean {
    const header = decodeHeader(message);
    if (receiving && header.ok && equalBytes(header.header.dh, receiving.dh)) {
      const { number } = header.header;
      if (this.#tags && isAnother(this.#tags, { message, number }, receiving.number)) return true;
    }
    const place = placeOf(message);
    const before = this.#decrypted.findLast((one) => one.startsWith(`${place} `));
    return before !== undefined && before !== `${place} ${tagOf(message)}`;
  }
}

/** Chain and number in the header of a message that was decrypted once. */
function placeOf(message: Bytes): string {
  const header = decodeHeader(message);
  return header.ok ? `${encodeBase64(header.header.dh.slice(0, 9))} ${header.header.number}` : "";
}

/** Bytes at the end of a message that tell it from all others. */
function tagOf(message: Bytes): string {
  return encodeBase64(message.slice(-tagLength));
}
