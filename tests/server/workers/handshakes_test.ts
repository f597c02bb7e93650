import { assertEquals } from "@std/assert";
import { randomBytes, type SessionKeys } from "../../../protocol/mod.ts";
import { ReplayGuard } from "../../../server/mod.ts";
import { HandshakeDesk, SharedHandshakes } from "../../../server/workers/handshakes.ts";
import { workerOfHandshake } from "../../../server/workers/partition.ts";

const permissions = "none";

function randomKeys(): SessionKeys {
  const [sndKey, sndBaseIv, rcvKey, rcvBaseIv] = [
    randomBytes(32),
    randomBytes(16),
    randomBytes(32),
    randomBytes(16),
  ];
  return { sndKey, sndBaseIv, rcvKey, rcvBaseIv };
}

/** Workers whose questions go through a desk. */
function workersWith({ workers = 3, up = new Set([0, 1, 2]), clock = { now: 0 } } = {}) {
  const guards = Array.from({ length: workers }, () => new ReplayGuard());
  const desk: HandshakeDesk = new HandshakeDesk({
    isUp: (worker) => up.has(worker),
    now: () => clock.now,
    send(worker, message) {
      if (message.type === "answer") shared[worker]!.answered(message);
      else {
        void guards[worker]!.isNewDigest(message.digest).then((isNew) =>
          desk.answer(worker, { type: "answer", id: message.id, isNew })
        );
      }
    },
  });
  const shared = guards.map((own, worker) =>
    new SharedHandshakes({ own, worker, workers, ask: (question) => desk.ask(worker, question) })
  );
  return { shared, guards, desk, up, clock };
}

Deno.test("a handshake is new once, at whatever worker", { permissions }, async () => {
  const { shared, guards, desk } = workersWith();
  for (let i = 0; i < 100; i++) {
    const keys = randomKeys();
    const order = [i, i + 1, i + 2, i].map((n) => n % 3);
    const found = [];
    for (const worker of order) found.push(await shared[worker]!.isNew(keys));
    assertEquals(found, [true, false, false, false]);
  }
  assertEquals(guards.reduce((sum, { size }) => sum + size, 0), 100);
  assertEquals(desk.size, 0);
});

Deno.test("all first bytes are shared out evenly", { permissions }, () => {
  const counts = [0, 0, 0];
  for (let byte = 0; byte < 256; byte++) counts[workerOfHandshake(byte * 2 ** 45 + 5, { workers: 3 })]!++;
  assertEquals(counts, [86, 85, 85]);
  assertEquals(workerOfHandshake(2 ** 53 - 1, { workers: 64 }), 63);
});

Deno.test(
  "who must be asked and is not there is asked later, or the handshake is refused",
  { permissions },
  async () => {
    const { shared, desk, up, clock } = workersWith({ workers: 2, up: new Set([0]) });
    const answers = Array.from({ length: 40 }, () => shared[0]!.isNew(randomKeys()));
    await Promise.resolve();
    for (let turn = 0; turn < 20 && desk.size === 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    up.add(1);
    desk.up(1);
    assertEquals(new Set(await Promise.all(answers)), new Set([true]));
    up.delete(1);
    const late = Array.from({ length: 40 }, () => shared[0]!.isNew(randomKeys()));
    for (let turn = 0; turn < 20 && desk.size === 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    clock.now = 5000;
    desk.sweep(5000);
    assertEquals(new Set(await Promise.all(late)), new Set([true, false]));
    assertEquals(desk.size, 0);
  },
);

Deno.test("an answer of a worker that was not asked does not count", { permissions }, () => {
  const answers: unknown[] = [];
  const desk = new HandshakeDesk({
    isUp: () => true,
    send: (to, message) => void answers.push({ to, ...message }),
  });
  desk.ask(0, { type: "ask", id: 7, worker: 1, digest: 5 });
  assertEquals(answers.splice(0), [{ to: 1, type: "ask", id: 1, digest: 5 }]);
  desk.answer(2, { type: "answer", id: 1, isNew: true });
  desk.answer(1, { type: "answer", id: 2, isNew: true });
  assertEquals(answers, []);
  desk.answer(1, { type: "answer", id: 1, isNew: false });
  desk.answer(1, { type: "answer", id: 1, isNew: true });
  assertEquals(answers, [{ to: 0, type: "answer", id: 7, isNew: false }]);
});

Deno.test(
  "the questions of a worker that has died are forgotten, and only so many wait",
  { permissions },
  () => {
    const answers: unknown[] = [];
    const desk = new HandshakeDesk({ isUp: () => false, send: (_, message) => void answers.push(message) });
    for (let id = 0; id < 10_001; id++) desk.ask(0, { type: "ask", id, worker: 1, digest: id });
    assertEquals(answers, [{ type: "answer", id: 10_000, isNew: false }]);
    desk.down(0);
    assertEquals(desk.size, 0);
  },
);
