import { assertEquals } from "@std/assert";
import type { UsageReport } from "../../../server/guard/server_usage.ts";
import { UsageBoard } from "../../../server/workers/usage_board.ts";

const permissions = "none";
const nothing: UsageReport = { connections: 0, handshakes: 0, held: 0, counts: [], poured: [] };

function boardOf(workers: number) {
  const told: [number, UsageReport][] = [];
  const board = new UsageBoard((worker, usage) => void told.push([worker, usage]));
  for (let worker = 0; worker < workers; worker++) board.up(worker);
  const flush = () => {
    told.length = 0;
    board.flush();
    return [...told];
  };
  flush();
  return { board, flush };
}

Deno.test("each worker is told the sum of what the others use, once", { permissions }, () => {
  const { board, flush } = boardOf(3);
  board.take(0, {
    connections: 5,
    handshakes: 1,
    held: 10,
    counts: [["a", 5, 1]],
    poured: [["extra", "a", 2]],
  });
  board.take(1, {
    connections: 7,
    handshakes: 2,
    held: 20,
    counts: [["a", 6, 2], ["b", 1, 0]],
    poured: [["extra", "a", 3]],
  });
  assertEquals(flush(), [
    [0, {
      connections: 7,
      handshakes: 2,
      held: 20,
      counts: [["a", 6, 2], ["b", 1, 0]],
      poured: [["extra", "a", 3]],
    }],
    [1, { connections: 5, handshakes: 1, held: 10, counts: [["a", 5, 1]], poured: [["extra", "a", 2]] }],
    [2, {
      connections: 12,
      handshakes: 3,
      held: 30,
      counts: [["a", 11, 3], ["b", 1, 0]],
      poured: [["extra", "a", 5]],
    }],
  ]);
  assertEquals(flush(), []);
});

Deno.test("what a worker has used that has ended is free again", { permissions }, () => {
  const { board, flush } = boardOf(2);
  board.take(0, { ...nothing, connections: 1, held: 9, counts: [["a", 1, 0]] });
  assertEquals(flush().length, 1);
  board.down(0);
  assertEquals(flush(), [[1, { ...nothing, counts: [["a", 0, 0]] }]]);
  board.take(0, { ...nothing, connections: 3 });
  assertEquals(flush(), [], "a late report of it");
});

Deno.test("a worker that is started again is told all counts", { permissions }, () => {
  const { board, flush } = boardOf(2);
  board.take(0, { ...nothing, connections: 2, counts: [["a", 1, 0], ["b", 1, 1]] });
  flush();
  board.down(1);
  flush();
  board.up(1);
  assertEquals(flush(), [[1, { ...nothing, connections: 2, counts: [["a", 1, 0], ["b", 1, 1]] }]]);
});

Deno.test("many networks are told in several messages", { permissions }, () => {
  const { board, flush } = boardOf(2);
  for (let from = 0; from < 8; from++) {
    const counts = Array.from({ length: 1000 }, (_, i) => [`${from} ${i}`, 1, 0] as const);
    board.take(0, { ...nothing, connections: 1000 * (from + 1), counts });
  }
  assertEquals(flush().map(([worker, { counts }]) => [worker, counts.length]), [[1, 4096], [1, 8000 - 4096]]);
});
