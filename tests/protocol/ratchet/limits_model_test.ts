import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { nextChainKey } from "../../../protocol/ratchet/kdf.ts";
import { decodeHeader, skippedLifetime } from "../../../protocol/mod.ts";
import { newSides, type Side } from "../../support/ratchet.ts";

const permissions = "none";
const limit = 2_000;
const day = 24 * 60 * 60 * 1000;

type Name = "joiner" | "initiator";

/** What a receiver has kept, by the specification: names of messages, the oldest first, with the time. */
class Model {
  #chain: { readonly dh: string; next: number } | null = null;
  readonly #over = new Set<string>();
  kept: { readonly name: string; readonly at: number }[] = [];

  /** The text of a message, or the code with which it has to be refused. */
  receive({ message, text }: Sent, now: number): string {
    const decoded = decodeHeader(message);
    assert(decoded.ok);
    const { number, previous } = decoded.header, dh = decoded.header.dh.toHex();
    const isCurrent = this.#chain?.dh === dh;
    if ((isCurrent && number < this.#chain!.next) || this.#over.has(dh)) {
      const found = this.kept.find(({ name, at }) => name === `${dh} ${number}` && now - at <= 30 * day);
      if (found === undefined) return "USED";
      this.kept = this.#fresh(now).filter((entry) => entry !== found);
      return text;
    }
    const from = isCurrent ? this.#chain!.next : 0;
    if (number - from > limit) return "FAR";
    this.kept = this.#fresh(now);
    const { kept } = this;
    const keep = (chain: string, first: number, end: number) => {
      for (let i = first; i < end; i++) kept.push({ name: `${chain} ${i}`, at: now });
    };
    if (!isCurrent && this.#chain !== null) {
      if (previous - this.#chain.next <= limit) keep(this.#chain.dh, this.#chain.next, previous);
      this.#over.add(this.#chain.dh);
    }
    keep(dh, from, number);
    this.kept = kept.slice(-limit);
    this.#chain = { dh, next: number + 1 };
    return text;
  }

  #fresh(now: number) {
    return this.kept.filter(({ at }) => now - at <= 30 * day);
  }
}

interface Sent {
  readonly message: Uint8Array<ArrayBuffer>;
  readonly text: string;
}

/** As if messages were sent and lost. */
async function skipAhead(side: Side, count: number): Promise<void> {
  const { turn } = side.state;
  assert(turn.side === "other" && turn.sending !== null);
  let { chainKey } = turn.sending;
  for (let i = 0; i < count; i++) chainKey = await nextChainKey(chainKey);
  const sending = { ...turn.sending, chainKey, number: turn.sending.number + count };
  side.state = { ...side.state, turn: { ...turn, sending } };
}

const happening = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant("send" as const), by: fc.constantFrom(0, 1) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("lose" as const),
      by: fc.constantFrom(0, 1),
      count: fc.constantFrom(1, 2, 900, 1_998, 1_999, 2_000, 2_001),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ what: fc.constant("get" as const), by: fc.constantFrom(0, 1), back: fc.nat(30) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("wait" as const), days: fc.constantFrom(1, 29, 30, 31) }),
  },
);

Deno.test("With gaps, losses and delays around every limit, exactly what may be decrypted is", {
  permissions,
}, async () => {
  assertEquals(skippedLifetime, 30 * day);
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { minLength: 20, maxLength: 40, size: "max" }),
      async (happenings) => {
        const sides = await newSides();
        const models = { joiner: new Model(), initiator: new Model() };
        const sent: Record<Name, Sent[]> = { joiner: [], initiator: [] };
        let now = 0, left = 6_000, canAnswer = false;
        for (const happening of happenings) {
          if (happening.what === "wait") {
            now += happening.days * day;
            continue;
          }
          const by: Name = happening.by === 0 ? "joiner" : "initiator";
          if (happening.what !== "get") {
            if (by === "initiator" && !canAnswer) continue;
            const count = happening.what === "lose" ? Math.min(happening.count, left) : 1;
            left -= count;
            // Those between the first and the last never come.
            for (let i = 0; i < Math.min(count, 2); i++) {
              if (i === 1) await skipAhead(sides[by], count - 2);
              const text = `${by} ${sent[by].length}`;
              sent[by].push({ message: await sides[by].send(text), text });
            }
            continue;
          }
          const other = sent[by === "joiner" ? "initiator" : "joiner"];
          const message = other[other.length - 1 - happening.back % (other.length || 1)];
          if (message === undefined) continue;
          const expected = models[by].receive(message, now);
          const result = await sides[by].receive(message.message, now);
          assertEquals(result, expected);
          assertEquals(sides[by].state.skipped.length, models[by].kept.length);
          canAnswer ||= by === "initiator" && result === message.text;
        }
      },
    ),
    { numRuns: 12 },
  );
});
