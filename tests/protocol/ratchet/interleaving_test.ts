import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeRatchetState, encodeRatchetState } from "../../../protocol/mod.ts";
import { newSides, seededRandom } from "../../support/ratchet.ts";

const permissions = "none";

/** What happens: a side sends, gets any message that was ever sent to it, or is stored and loaded. */
type Happening = {
  readonly side: "joiner" | "initiator";
  readonly what: "send" | "get" | "reload";
  readonly which: number;
};

interface Sent {
  readonly message: Uint8Array<ArrayBuffer>;
  readonly text: string;
  isDecrypted: boolean;
}

const happening: fc.Arbitrary<Happening> = fc.record({
  side: fc.constantFrom("joiner", "initiator"),
  what: fc.constantFrom("send", "send", "get", "get", "get", "reload"),
  which: fc.nat(1000),
});

/** Mostly one of the latest, as on a real network, and sometimes a very old one. */
function pick(sent: readonly Sent[], which: number): Sent | undefined {
  const back = which % 4 === 0 ? which % (sent.length || 1) : which % 5;
  return sent[Math.max(0, sent.length - 1 - back)];
}

Deno.test("Whatever is lost, delayed and repeated, what comes is decrypted as it was sent, and once", {
  permissions,
}, async () => {
  let chains = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { maxLength: 60, size: "max" }),
      fc.nat(),
      async (happenings, seed) => {
        const random = seededRandom(seed);
        const sides = await newSides(-5);
        const sent: Record<Happening["side"], Sent[]> = { joiner: [], initiator: [] };
        let mayInitiatorSend = false;
        for (const { side: name, what, which } of happenings) {
          const side = sides[name];
          if (what === "send") {
            if (name === "initiator" && !mayInitiatorSend) continue;
            const text = `${name} ${sent[name].length}`;
            sent[name].push({ message: await side.send(text, random), text, isDecrypted: false });
          } else if (what === "get") {
            const message = pick(sent[name === "joiner" ? "initiator" : "joiner"], which);
            if (message === undefined) continue;
            const before = await encodeRatchetState(side.state);
            const result = await side.receive(message.message);
            assertEquals(result, message.isDecrypted ? "USED" : message.text);
            if (message.isDecrypted) assertEquals(await encodeRatchetState(side.state), before);
            message.isDecrypted = true;
            mayInitiatorSend ||= name === "initiator";
          } else {
            const stored = await decodeRatchetState(await encodeRatchetState(side.state));
            assertEquals(stored, side.state);
            side.state = stored!;
          }
        }
        for (const [name, from] of [["joiner", "initiator"], ["initiator", "joiner"]] as const) {
          for (const message of sent[from]) {
            if (!message.isDecrypted) assertEquals(await sides[name].receive(message.message), message.text);
          }
          for (const { message } of sent[from]) assertEquals(await sides[name].receive(message), "USED");
        }
        chains += sides.joiner.state.known.length;
      },
    ),
    { numRuns: 60 },
  );
  assertEquals(chains > 60, true, "directions have changed");
});
