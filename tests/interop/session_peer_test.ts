import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
// @ts-types="../peers/session.d.mts"
import {
  decrypt,
  encrypt,
  type Kit,
  makePair,
  MESSAGE_LIMIT,
  type RatchetState,
  type Role,
  SKIP_AGE_LIMIT,
  SKIP_LIMIT,
  startRatchet,
} from "../peers/session.mjs";
import { independentMlKem } from "../support/independent_ml_kem.ts";

// The independent ratchet of tests/peers/session.mjs against itself: before it judges another one, it must be right.

const permissions = "none";
const kit: Kit = {
  mlKem: independentMlKem,
  random: (length) => crypto.getRandomValues(new Uint8Array(length)),
};
const firstPairs = { joiner: makePair(kit), initiator: makePair(kit) };
const start = {
  transcript: kit.random(32),
  root: kit.random(32),
};

type States = Record<Role, RatchetState>;

function begin(): States {
  const { joiner, initiator } = firstPairs;
  return {
    joiner: startRatchet({ ...start, role: "joiner", pair: joiner, other: initiator.public }),
    initiator: startRatchet({ ...start, role: "initiator", pair: initiator, other: joiner.public }),
  };
}

const otherThan = (role: Role): Role => role === "joiner" ? "initiator" : "joiner";

interface Sent {
  readonly by: Role;
  readonly plaintext: Uint8Array;
  readonly message: Uint8Array;
}

/** Sends from a side. */
function send(states: States, by: Role, plaintext: Uint8Array): Sent {
  const result = encrypt(kit, states[by], plaintext);
  assert(result.refused === undefined, `${by} cannot send: ${result.refused}`);
  states[by] = result.state;
  return { by, plaintext, message: result.message };
}

/** What the other side makes of it: its plaintext, or the reason why it is refused. */
function receive(
  states: States,
  { by, message }: Pick<Sent, "by" | "message">,
  now = 0,
): Uint8Array | string {
  const role = otherThan(by);
  const result = decrypt(kit, states[role], message, now);
  if (result.refused !== undefined) return result.refused;
  states[role] = result.state;
  return new Uint8Array(result.plaintext);
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((byte, index) => index === at ? byte ^ 1 : byte);
}

type Step =
  | { readonly do: "send"; readonly by: Role; readonly length: number }
  | { readonly do: "deliver" | "lose" | "damage"; readonly which: number };

const role = fc.constantFrom<Role>("joiner", "initiator");
const which = fc.nat();
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("send"), by: role, length: fc.nat(40) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("deliver"), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("lose", "damage"), which }) },
);

Deno.test(
  "two independent peers decrypt what was sent, once, whatever is lost, repeated, damaged or out of order",
  { permissions },
  () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const states = begin();
        const network: Sent[] = [];
        const decrypted = new Set<Sent>();
        const deliver = (sent: Sent) => {
          const result = receive(states, sent);
          assertEquals(result, decrypted.has(sent) ? "used" : sent.plaintext);
          decrypted.add(sent);
        };
        for (const step of steps) {
          if (step.do === "send") {
            const canSend = step.by === "joiner" || decrypted.size > 0;
            if (!canSend) assertEquals(encrypt(kit, states.initiator, kit.random(1)), { refused: "early" });
            else network.push(send(states, step.by, kit.random(step.length)));
            continue;
          }
          const sent = network[step.which % network.length];
          if (sent === undefined) continue;
          if (step.do === "deliver") deliver(sent);
          if (step.do === "lose") network.splice(network.indexOf(sent), 1);
          if (step.do === "damage") {
            const at = step.which % sent.message.length;
            const result = receive(states, { by: sent.by, message: flip(sent.message, at) });
            assert(typeof result === "string", `a message with another byte ${at} is taken`);
          }
        }
        for (const sent of network) deliver(sent);
      }),
      { numRuns: 150 },
    );
  },
);

Deno.test(
  "a thief of the state of an independent peer opens no message before, and none after a round trip",
  {
    permissions,
  },
  () => {
    for (const by of ["joiner", "initiator"] as const) {
      const states = begin();
      const before: Sent[] = [];
      for (let turn = 0; turn < 5; turn++) {
        for (const role of ["joiner", "initiator"] as const) {
          const sent = send(states, role, kit.random(9));
          receive(states, sent);
          if (role === by) before.push(sent);
        }
      }
      const victim = otherThan(by);
      const stolen = { ...states };
      // He makes the state forget that it knows these chains and that none may come, so that it tries.
      const forgetful = { ...states[victim], retired: [], receiving: null, isStepDue: false };
      for (const sent of before) {
        assertEquals(receive({ ...states }, sent), "used");
        assertEquals(receive({ ...states, [victim]: forgetful }, sent), "damaged");
      }
      const open = send(states, by, kit.random(9));
      receive(states, open);
      assertEquals(receive(stolen, open), open.plaintext);
      receive(states, send(states, victim, kit.random(9)));
      const closed = send(states, by, kit.random(9));
      const trying = { ...stolen, [victim]: { ...stolen[victim], isStepDue: false } };
      assertEquals(receive(trying, closed), "damaged");
      assertEquals(receive(states, closed), closed.plaintext);
    }
  },
);

Deno.test(
  "an independent peer keeps as many skipped keys as the limit, the youngest, for as long as the limit",
  {
    permissions,
  },
  () => {
    const states = begin();
    const sent = Array.from({ length: SKIP_LIMIT + 4 }, (_, at) => send(states, "joiner", Uint8Array.of(at)));
    assertEquals(receive(states, sent[SKIP_LIMIT + 1]!), "far");
    assertEquals(receive(states, sent[SKIP_LIMIT]!), sent[SKIP_LIMIT]!.plaintext);
    assertEquals(states.initiator.skipped.size, SKIP_LIMIT);
    assertEquals(receive(states, sent[SKIP_LIMIT + 3]!, 1), sent[SKIP_LIMIT + 3]!.plaintext);
    assertEquals(states.initiator.skipped.size, SKIP_LIMIT);
    assertEquals(receive(states, sent[0]!, 1), "used");
    assertEquals(receive(states, sent[1]!, 1), "used");
    assertEquals(receive(states, sent[2]!, 1), sent[2]!.plaintext);
    assertEquals(receive(states, sent[3]!, SKIP_AGE_LIMIT), sent[3]!.plaintext);
    assertEquals(receive(states, sent[4]!, SKIP_AGE_LIMIT + 1), "used");
    assertEquals(
      receive(states, sent[SKIP_LIMIT + 2]!, SKIP_AGE_LIMIT + 1),
      sent[SKIP_LIMIT + 2]!.plaintext,
    );
    assertEquals(states.initiator.skipped.size, 1);
  },
);

Deno.test("an independent peer tries no message that is longer than any", { permissions }, () => {
  const states = begin();
  const { message } = send(states, "joiner", new Uint8Array(1));
  const long = new Uint8Array(MESSAGE_LIMIT + 1);
  long.set(message);
  assertEquals(receive(states, { by: "joiner", message: long }), "large");
  assertEquals(receive(states, { by: "joiner", message: long.subarray(1) }), "version");
});
