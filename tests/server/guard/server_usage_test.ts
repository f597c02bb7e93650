import { assert, assertEquals } from "@std/assert";
import { checkLimits, type Limits } from "../../../server/config/limits.ts";
import { Admission, type Admitted } from "../../../server/guard/admission.ts";
import { MemoryGuard } from "../../../server/guard/memory_guard.ts";
import { ServerUsage, type UsageReport } from "../../../server/guard/server_usage.ts";
import { WorkBudget } from "../../../server/guard/work_budget.ts";
import { Metrics } from "../../../server/observe/metrics.ts";

const permissions = "none";
const nothing: UsageReport = { connections: 0, handshakes: 0, held: 0, counts: [], poured: [] };

/** Two processes of a server with the same limits, and what makes each known to the other. */
function twoProcesses(given: Partial<Limits> = {}) {
  const limits = checkLimits(given);
  const urgent = [0, 0];
  const usages = [0, 1].map((i) => {
    const usage = new ServerUsage({ processes: 2, onUrgent: () => urgent[i]!++ });
    usage.serve({ limits: () => limits, held: () => 0 });
    return usage;
  });
  const now = () => 0;
  const admissions = usages.map((usage) => new Admission(() => limits, new Metrics(), { now, usage }));
  const budgets = usages.map((usage) =>
    new WorkBudget(() => limits.refusedTimePerSecondPerIp, { now, shared: { usage, name: "refused" } })
  );
  const tell = () => {
    for (const [from, to] of [[usages[0]!, usages[1]!], [usages[1]!, usages[0]!]] as const) {
      for (let report = from.report(); report !== null; report = from.report()) to.setOthers(report);
    }
  };
  return { admissions, budgets, urgent, usages, tell };
}

Deno.test("connections at another process count, until they are told to have left", { permissions }, () => {
  const { admissions: [a, b], tell } = twoProcesses({ connectionsPerIp: 3 });
  const first = a!.admit("10.0.0.1")!;
  a!.admit("10.0.0.1");
  tell();
  assert(b!.admit("10.0.0.1") !== null);
  assertEquals(b!.admit("10.0.0.1"), null);
  assert(b!.admit("10.0.0.2") !== null, "another address is not concerned");
  tell();
  assertEquals(a!.admit("10.0.0.1"), null);
  first.left();
  tell();
  assert(b!.admit("10.0.0.1") !== null);
});

Deno.test("all connections and handshakes of a server count at each process", { permissions }, () => {
  const { admissions: [a, b], tell } = twoProcesses({ connections: 2, handshakes: 1 });
  const established = (admitted: Admitted | null) => (admitted!.spoke(), admitted!.established());
  established(a!.admit("10.0.0.1"));
  const handshake = a!.admit("10.0.0.2")!;
  handshake.spoke();
  tell();
  assertEquals(b!.admit("10.0.0.3"), null);
  handshake.left();
  tell();
  established(b!.admit("10.0.0.3"));
  assertEquals(b!.admit("10.0.0.4"), null);
});

Deno.test("new queues and refused work at another process count", { permissions }, () => {
  const { admissions, budgets, tell } = twoProcesses({
    newQueuesPerHourPerIp: 3,
    refusedTimePerSecondPerIp: 10,
  });
  for (let i = 0; i < 3; i++) assert(admissions[0]!.mayCreate("10.0.0.1"));
  budgets[0]!.charge({ client: "10.0.0.1" }, 150);
  const connection = { client: "10.0.0.1" };
  budgets[1]!.charge(connection, 1);
  assertEquals(budgets[1]!.delay(connection), 0);
  tell();
  assertEquals(admissions[1]!.mayCreate("10.0.0.1"), false);
  assert(admissions[1]!.mayCreate("10.0.0.2"));
  assert(budgets[1]!.delay(connection) > 0);
});

Deno.test("what others have poured is not told back", { permissions }, () => {
  const { admissions, usages, tell } = twoProcesses();
  assert(admissions[0]!.mayCreate("10.0.0.1"));
  tell();
  assertEquals(usages.map((usage) => usage.report()), [null, null]);
});

Deno.test("a report that is repeated changes no count", { permissions }, () => {
  const { admissions, usages } = twoProcesses({ connectionsPerIp: 3 });
  admissions[0]!.admit("10.0.0.1");
  const { poured: _, ...report } = usages[0]!.report()!;
  for (let i = 0; i < 5; i++) usages[1]!.setOthers({ ...report, poured: [] });
  assert(admissions[1]!.admit("10.0.0.1") !== null);
  assert(admissions[1]!.admit("10.0.0.1") !== null);
  assertEquals(admissions[1]!.admit("10.0.0.1"), null);
});

Deno.test("a sixteenth of a limit for each process is told at once, less can wait", { permissions }, () => {
  const { admissions, urgent } = twoProcesses({ connectionsPerIp: 320, handshakesPerIp: 0 });
  for (let i = 0; i < 9; i++) admissions[0]!.admit("10.0.0.1");
  assertEquals(urgent[0], 0);
  admissions[0]!.admit("10.0.0.1");
  assertEquals(urgent, [1, 0]);
});

Deno.test("a report has some thousand networks, the next one the rest", { permissions }, () => {
  const { admissions, usages } = twoProcesses();
  for (let i = 0; i < 5000; i++) admissions[0]!.admit(`10.0.${i >> 8}.${i & 255}`);
  const lengths = [usages[0]!.report(), usages[0]!.report(), usages[0]!.report()].map((report) =>
    report?.counts.length
  );
  assertEquals(lengths, [4096, 1000 - 96, undefined]);
});

Deno.test("a server of one process tracks nothing for others", { permissions }, () => {
  const usage = new ServerUsage();
  const admission = new Admission(() => checkLimits(), new Metrics(), { usage });
  admission.admit("10.0.0.1");
  admission.mayCreate("10.0.0.1");
  assertEquals(usage.report(), null);
});

Deno.test("memory that other processes hold is not free, and makes it short", { permissions }, () => {
  const usage = new ServerUsage({ processes: 2 });
  const kept = { connections: 0, queues: 0, messages: 0, messageBytes: 400, opened: 0 };
  const guard = new MemoryGuard(() => kept, () => checkLimits({ memory: 1000 }), { others: usage });
  assertEquals([guard.free, guard.isShort()], [600, false]);
  usage.setOthers({ ...nothing, held: 500 });
  assertEquals([guard.free, guard.isShort()], [100, false]);
  usage.setOthers({ ...nothing, held: 601 });
  assertEquals([guard.free, guard.isShort()], [0, true]);
});
