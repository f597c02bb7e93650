import { assert } from "@std/assert";
import type { Fault } from "../support/mortal.ts";
import { type Mode, MortalApp, type Round } from "../support/mortal_app.ts";
import { World } from "../support/mortal_world.ts";

/**
 * Of the steps of a scenario one in so many is tried, others each time. Every one, in some minutes:
 * `deno test -A tests/agent/crash_test.ts tests/agent/crash_steps_test.ts -- --every-step`
 */
const isEvery = Deno.args.includes("--every-step");
const strides = { "in 0.3": isEvery ? 1 : 120, "in a session": isEvery ? 1 : 210 } as const;
const seed = Math.floor(Math.random() * strides["in a session"]);

const modes: Record<string, Mode> = {
  "events are taken by the next": { acknowledge: "automatic", take: "next" },
  "messages are acknowledged": { acknowledge: "manual", take: "next" },
  "every event is taken": { acknowledge: "automatic", take: "manual" },
};

const both = { send: ["a", "b"], receive: ["x", "y"] } as const;
const next = { send: ["c", "d"], receive: ["z"] } as const;

const scenarios: Record<string, readonly Round[]> = {
  "an initiator": [{ role: "initiator", reply: true, ...both, suspend: true }],
  "a joiner": [{ role: "joiner", reply: true, ...both }],
  "a joiner of one direction": [{ role: "joiner", reply: false, send: ["a", "b"], receive: [] }],
  "an initiator that is deleted and made again": [
    { role: "initiator", reply: true, ...both, until: "connected" },
    { role: "initiator", reply: true, ...next },
  ],
  "a joiner that is deleted and joins again": [
    { role: "joiner", reply: true, ...both, until: "connected" },
    { role: "joiner", reply: true, ...next },
  ],
  "an initiator that is refused": [
    { role: "initiator", reply: true, send: ["a", "b"], receive: [], until: "refused" },
  ],
};

/** What happens at a step, and what may happen at another one. */
const faults: Record<string, (step: number, steps: number) => readonly ReadonlyMap<number, Fault>[]> = {
  "killed at any step": (step) => [new Map([[step, "die"]])],
  "killed at any step, twice": (step, steps) => [
    new Map([[step, "die"]]),
    new Map([[1 + (step * 7) % Math.max(1, steps - step), "die"]]),
  ],
  "cut off at any step, then killed": (step) => [new Map([[step, "cut"], [step + 1 + step % 9, "die"]])],
  "whose server starts again at any step": (step) => [new Map([[step, "restart"]])],
};

/** Where both agents upgrade their connections: of the modes one, another each time. */
const sessions = ["an initiator", "a joiner", "an initiator that is deleted and made again"].map((
  scenario,
  i,
) => ({
  scenario,
  rounds: scenarios[scenario]!,
  named: [Object.entries(modes)[(seed + i) % 3]!],
  extensions: ["session1"],
}));
const named = Object.entries(modes);
const without = Object.entries(scenarios).map(([scenario, rounds]) => ({
  scenario,
  rounds,
  named,
  extensions: [],
}));

let turn = seed;
for (const { scenario, rounds, named, extensions } of [...without, ...sessions]) {
  const inSession = extensions.length > 0 ? " in a session" : "";
  const stride = strides[extensions.length > 0 ? "in a session" : "in 0.3"];
  for (const [name, mode] of named) {
    Deno.test(`${scenario}${inSession} that dies loses, doubles and mixes up nothing, where ${name}`, async () => {
      await using world = await World.start(extensions);
      const steps = await new MortalApp(world, "alive", { mode, rounds }).run([]);
      assert(steps > 20, `${steps}`);
      const trials = Object.entries(faults).flatMap(([fault, livesOf]) => {
        const offset = turn++;
        return Array.from({ length: steps }, (_, i) => i + 1)
          .filter((step) => step % stride === offset % stride)
          .map((step) => ({ fault, step, lives: livesOf(step, steps) }));
      });
      // A server that starts again does so for all: those that are to have no other trouble come before.
      const isRestart = ({ lives }: typeof trials[number]) => [...lives[0]!.values()].includes("restart");
      for (const next of [trials.filter((trial) => !isRestart(trial)), trials.filter(isRestart)]) {
        const worker = async () => {
          for (let trial; (trial = next.shift()) !== undefined;) {
            const { fault, step, lives } = trial;
            const app = new MortalApp(world, `${fault} ${step}`, { mode, rounds });
            await app.run(lives).catch((cause) => {
              throw new Error(`${fault}: step ${step} of ${steps}: ${cause.message}`, { cause });
            });
          }
        };
        const results = await Promise.allSettled(Array.from({ length: 4 }, worker));
        for (const result of results) if (result.status === "rejected") throw result.reason;
      }
    });
  }
}
