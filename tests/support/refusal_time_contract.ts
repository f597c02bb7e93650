import { assert, assertEquals } from "@std/assert";
import { cryptoEngine, randomBytes, verifyPss } from "../../protocol/mod.ts";
import { Verifier } from "../../server/guard/verifier.ts";
import {
  measureRefusals,
  type Probed,
  randomSigner,
  type RefusalOptions,
  superiority,
} from "./refusal_time.ts";

const data = randomBytes(100);

type Kind = Pick<RefusalOptions, "bits" | "costs" | "rounds" | "group">;

/** Fewer rounds where each takes longer; their times vary less. More than a hundred find no smaller differences. */
const kinds: readonly Kind[] = [
  ...[1024, 2048, 3072, 4096].map((bits) => ({ bits, costs: "small", rounds: 150 }) as const),
  { bits: 1024, costs: "large", rounds: 100 },
  { bits: 2048, costs: "large", rounds: 60 },
  // One takes 20 ms in BigInt: what else is asked for goes the same way with smaller keys.
  { bits: 4096, costs: "large", rounds: 40, group: "SUB" },
];

/** What keys differ by: their numbers, and how long ago the processor had them in its caches. It is about 0.05 as a rule. */
const ownDifference = 0.25;

/**
 * Probes that ask for the same thing must be answered in times that are distributed alike, whether the queue exists or
 * not and whatever is wrong: their superiority is as near to 0.5 as that of keys is, or within six of its standard
 * deviations. Their order is random, so that whatever else the machine does makes a false alarm of a comparison no
 * likelier than the 2e-9 beyond six deviations. That as many rounds find a broker that verifies nothing where there is no
 * key is tested too; how small a difference they find depends on what else the machine does, which lengthens the times of
 * all.
 */
export function testRefusalTimes(): void {
  for (const kind of kinds) {
    const { bits, costs, rounds } = kind;
    Deno.test(`${cryptoEngine()}: refusals take equally long, ${bits} bits, ${costs} exponents`, async () => {
      const probed = await measure(kind);
      assertEquals(differences(probed, rounds), []);
    });
  }

  for (const kind of kinds.filter(({ bits }) => bits === 2048)) {
    const { costs, rounds } = kind;
    Deno.test(`${cryptoEngine()}: refusals without a verification are found, ${costs} exponents`, async () => {
      const found = differences(await measure(kind, true), rounds);
      // What else differs there is small, and of the broker's own ways.
      const unverified = found.filter((difference) => difference.includes("against wrong key"));
      assertEquals(unverified.length, 7, found.join("; "));
    });
  }

  Deno.test(`${cryptoEngine()}: a signature by a key that is used all the time takes as long as others`, async () => {
    const rounds = 100;
    for (const bits of [1024, 2048]) {
      const [key, other] = [randomSigner(bits, "small").publicKey, randomSigner(bits, "small").publicKey];
      const times: Record<"same" | "other", number[]> = { same: [], other: [] };
      for (let i = 0; i < 2 * rounds; i++) {
        const before = Math.random() < 0.5 ? "same" : "other";
        // V8 takes about seven to see that a modulus comes back.
        for (let use = 0; use < 10; use++) {
          await verifyPss(before === "same" ? key : other, randomBytes(bits / 8), data);
        }
        const signature = randomBytes(bits / 8);
        const began = performance.now();
        await verifyPss(key, signature, data);
        times[before].push(performance.now() - began);
      }
      const difference = superiority(times.same, times.other);
      assert(Math.abs(difference - 0.5) < tolerance(rounds / 2), `${bits} bits: ${difference}`);
    }
  });
}

async function measure(kind: Kind, isDefenceless = false): Promise<readonly Probed[]> {
  await using verifier = new Verifier();
  return await measureRefusals({ ...kind, isDefenceless, verify: (...work) => verifier.verify(...work) });
}

function tolerance(rounds: number): number {
  return Math.max(ownDifference, 6 / Math.sqrt(6 * rounds));
}

/** What can be told from the first probe of its group, each with its superiority. */
export function differences(probed: readonly Probed[], rounds: number): string[] {
  const found: string[] = [];
  for (const { probe: { group, name }, times } of probed) {
    const first = probed.find(({ probe }) => probe.group === group)!;
    const difference = superiority(times, first.times);
    if (Math.abs(difference - 0.5) > tolerance(rounds)) {
      found.push(`${group}: ${name} against ${first.probe.name}: ${difference.toFixed(2)}`);
    }
  }
  return found;
}
