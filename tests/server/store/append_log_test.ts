import { setImmediate } from "node:timers";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Metrics } from "../../../server/observe/metrics.ts";
import { AppendLog, type AppendLogOptions } from "../../../server/store/append_log.ts";
import { StoreError } from "../../../server/store/error.ts";
import { FakeDisk } from "../../support/fake_disk.ts";
import { until } from "../../support/wait.ts";

const permissions = "none";
const path = "dir/log";

/** A log on a disk that fails on demand, and the lines that it has committed. */
async function openLog(disk: FakeDisk, options: Partial<AppendLogOptions> = {}) {
  const lines: string[] = [];
  const metrics = new Metrics();
  const logged: string[] = [];
  const log = await AppendLog.open(path, {
    fsync: "off",
    fsyncInterval: 1,
    snapshot: () => lines.values(),
    metrics,
    log: (message) => logged.push(message),
    io: disk,
    ...options,
  }, true);
  const append = (line: string) => log.append(line, () => lines.push(line));
  return { log, append, lines, metrics, logged };
}

function text(lines: readonly string[]): string {
  return lines.map((line) => line + "\n").join("");
}

Deno.test("lines that wait are written at once, in order, and committed before their promises resolve", {
  permissions,
}, async () => {
  const disk = new FakeDisk();
  const { log, append, lines } = await openLog(disk);
  const numbers = Array.from({ length: 100 }, (_, i) => `line ${i}`);
  const before = disk.writes;
  await Promise.all(numbers.map(async (line, i) => {
    await append(line);
    assert(lines.length > i);
  }));
  assertEquals([lines, disk.writes - before], [numbers, 1]);
  assertEquals(disk.text(path), text(numbers));
  await log.close();
});

Deno.test("lines that come while others are written wait for one write", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk);
  const release = disk.hold();
  const first = append("first");
  await disk.held;
  const before = disk.writes;
  const others = Array.from({ length: 50 }, (_, i) => append(`${i}`));
  release();
  await Promise.all([first, ...others]);
  // The one that was held, and one for all others.
  assertEquals(disk.writes - before, 2);
  await log.close();
});

Deno.test(
  "where many lines come, those of the rest of the turn are written with them; a single one waits for nothing",
  {
    permissions,
  },
  async () => {
    const disk = new FakeDisk();
    const { log, append } = await openLog(disk);
    /** How many writes there are for two lines, each from a callback of the same turn. */
    const writes = async () => {
      const before = disk.writes;
      const later = Promise.withResolvers<void>();
      setImmediate(() => append("b").then(later.resolve));
      await Promise.all([append("a"), later.promise]);
      return disk.writes - before;
    };
    await append("single");
    assertEquals(await writes(), 2);
    await Promise.all([append("first"), append("second")]);
    assertEquals(await writes(), 1);
    await append("single");
    await append("single");
    assertEquals(await writes(), 2);
    await log.close();
  },
);

for (const fsync of ["off", "interval", "always"] as const) {
  Deno.test(`fsync: ${fsync} keeps what it promises when the power goes`, { permissions }, async () => {
    const disk = new FakeDisk();
    const { log, append } = await openLog(disk, { fsync });
    await append("answered");
    if (fsync === "always") assertEquals(disk.afterPowerCut(path), "answered\n");
    else assertEquals(disk.text(path), "answered\n");
    if (fsync === "interval") await until(() => disk.afterPowerCut(path) === "answered\n");
    if (fsync === "off") assertEquals(disk.afterPowerCut(path), "");
    await log.close();
    assertEquals(disk.afterPowerCut(path), "answered\n");
  });
}

Deno.test(
  "a write that fails in the middle is undone, and the next one goes on",
  { permissions },
  async () => {
    const disk = new FakeDisk();
    const { log, append, lines, metrics } = await openLog(disk);
    await append("one");
    for (const short of [0, 1, 3]) {
      disk.failWrites(1, short);
      const error = await assertRejects(() => append("lost"), StoreError);
      assertEquals(error.code, "IO");
      assert(!log.healthy);
      assertEquals(disk.text(path), "one\n");
    }
    await append("two");
    assert(log.healthy);
    assertEquals([lines, disk.text(path), metrics.logFailures], [["one", "two"], "one\ntwo\n", 3]);
    await log.close();
  },
);

Deno.test("when even cutting fails the log is cut before the next write", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk);
  await append("one");
  disk.failWrites(1, 2);
  disk.failing.add("truncate");
  await assertRejects(() => append("lost"), StoreError);
  assertEquals(disk.text(path), "one\nlo");
  await assertRejects(() => append("lost too"), StoreError);
  disk.failing.clear();
  await append("two");
  assertEquals(disk.text(path), "one\ntwo\n");
  await log.close();
});

Deno.test("writes of a few bytes at a time make whole lines", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk);
  disk.largestWrite = 3;
  await Promise.all([append("hello"), append("world")]);
  assertEquals(disk.text(path), "hello\nworld\n");
  await log.close();
});

Deno.test(
  "with fsync: always a failed sync refuses the line and the log is written anew",
  { permissions },
  async () => {
    const disk = new FakeDisk();
    const { log, append, lines } = await openLog(disk, { fsync: "always" });
    await append("one");
    disk.failing.add("sync");
    await assertRejects(() => append("lost"), StoreError);
    // What was refused is not there for who starts after a crash.
    assertEquals(disk.text(path), "one\n");
    await assertRejects(() => append("lost too"), StoreError);
    assertEquals(disk.text(path), "one\n");
    disk.failing.clear();
    // Also when the new file is there, but its name may not last.
    disk.failing.add("syncDirectory");
    await assertRejects(() => append("lost as well"), StoreError);
    disk.failing.clear();
    const before = disk.renames;
    await append("two");
    assertEquals([lines, disk.renames - before], [["one", "two"], 1]);
    assertEquals(disk.afterPowerCut(path), "one\ntwo\n");
    await log.close();
  },
);

Deno.test(
  "with fsync: interval a failed sync is told, and the log is written anew",
  { permissions },
  async () => {
    const disk = new FakeDisk();
    const { log, append, logged } = await openLog(disk, { fsync: "interval" });
    disk.failing.add("sync");
    await append("one");
    await until(() => logged.length > 0);
    assert(!log.healthy);
    disk.failing.clear();
    await append("two");
    await until(() => disk.afterPowerCut(path) === "one\ntwo\n");
    await log.close();
  },
);

Deno.test(
  "after a failed interval sync an idle log is written anew as soon as the disk works",
  { permissions },
  async () => {
    const disk = new FakeDisk();
    const { log, append } = await openLog(disk, { fsync: "interval" });
    disk.failing.add("sync");
    await append("one");
    await until(() => !log.healthy);
    // Nothing is written from here on.
    const before = disk.renames;
    disk.failing.clear();
    disk.failing.add("sync log.new");
    const tries = disk.opens;
    await until(() => disk.opens > tries + 2);
    assert(!log.healthy);
    disk.failing.clear();
    await until(() => log.healthy);
    assertEquals([disk.renames - before, disk.afterPowerCut(path)], [1, "one\n"]);
    await append("two");
    assertEquals(disk.text(path), "one\ntwo\n");
    await log.close();
    assertEquals(disk.opened, 0);
  },
);

Deno.test("a sync that fails while a line is written is repaired all the same", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk, { fsync: "interval" });
  await append("one");
  const release = disk.hold();
  const second = append("two");
  await disk.held;
  disk.failing.add("sync");
  await until(() => !log.healthy);
  disk.failing.clear();
  const before = disk.renames;
  release();
  await second;
  await until(() => log.healthy && disk.renames > before);
  assertEquals(disk.afterPowerCut(path), "one\ntwo\n");
  await log.close();
});

for (const fsync of ["off", "interval", "always"] as const) {
  Deno.test(`after a failed write an idle log with fsync: ${fsync} is well again when the disk is`, {
    permissions,
  }, async () => {
    const disk = new FakeDisk();
    const { log, append } = await openLog(disk, { fsync });
    await append("one");
    for (const operations of [["write"], ["write", "truncate"], ["write", "sync", "truncate"]]) {
      for (const operation of operations) disk.failing.add(operation);
      await assertRejects(() => append("lost"), StoreError);
      const tries = disk.writes + disk.truncates;
      await until(() => disk.writes + disk.truncates > tries + 2);
      assert(!log.healthy);
      disk.failing.clear();
      await until(() => log.healthy);
      assertEquals(disk.text(path), "one\n");
    }
    await append("two");
    await log.close();
    assertEquals([disk.afterPowerCut(path), disk.opened], ["one\ntwo\n", 0]);
  });
}

for (const fsync of ["off", "interval", "always"] as const) {
  Deno.test(`a commit that throws fails its own line alone and undoes it, fsync: ${fsync}`, {
    permissions,
  }, async () => {
    const disk = new FakeDisk();
    const { log, append, lines } = await openLog(disk, { fsync });
    const broken = () =>
      log.append("broken", () => {
        throw new RangeError("broken commit");
      });
    const results = await Promise.allSettled([append("one"), broken(), append("two"), broken()]);
    assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled", "rejected"]);
    await until(() => log.healthy);
    assertEquals(disk.text(path), "one\ntwo\n");
    await assertRejects(broken, RangeError, "broken commit");
    await append("three");
    assertEquals(disk.text(path), "one\ntwo\nthree\n");
    await assertRejects(broken, RangeError);
    await log.close();
    assertEquals([lines, disk.afterPowerCut(path)], [["one", "two", "three"], "one\ntwo\nthree\n"]);
    assertEquals(disk.opened, 0);
  });
}

Deno.test("a commit that throws during a compaction is not kept by it", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk);
  await append("one");
  const release = disk.hold("log.compact");
  const compacting = log.compact();
  await disk.held;
  const broken = log.append("broken", () => {
    throw new Error("broken commit");
  });
  await assertRejects(() => broken, Error, "broken commit");
  release();
  await compacting;
  await append("two");
  assertEquals(disk.text(path), "one\ntwo\n");
  await log.close();
});

/** What a log is given, and may throw. */
const hooks: Record<string, (fail: () => void) => Partial<AppendLogOptions>> = {
  "log": (fail) => ({ log: fail }),
  "snapshot": (fail) => ({
    snapshot: () => {
      fail();
      return ["one", "two"];
    },
  }),
  "iterator of the snapshot": (fail) => ({
    *snapshot() {
      yield "one";
      fail();
      yield "two";
    },
  }),
};

for (const [name, hook] of Object.entries(hooks)) {
  Deno.test(`a ${name} that throws ends neither writes nor compactions nor syncs`, {
    permissions,
  }, async () => {
    const disk = new FakeDisk();
    let throws = false;
    const fail = () => {
      if (throws) throw new Error(`${name} is broken`);
    };
    const { log, append } = await openLog(disk, { fsync: "interval", ...hook(fail) });
    throws = true;
    disk.failing.add("rename log.compact");
    await append("one");
    await log.compact();
    disk.failing.clear();
    disk.failing.add("syncDirectory");
    await log.compact();
    disk.failing.add("sync");
    await append("two").catch(() => {});
    await until(() => !log.healthy);
    disk.failing.clear();
    throws = false;
    await until(() => log.healthy);
    await append("three");
    assert(disk.text(path).endsWith("three\n"));
    await log.compact();
    await log.close();
    assertEquals(disk.opened, 0);
  });
}

Deno.test(
  "a log that has grown to twice its size is written anew without what is gone",
  { permissions },
  async () => {
    const disk = new FakeDisk();
    const live = new Map<string, string>();
    const metrics = new Metrics();
    const log = await AppendLog.open(path, {
      fsync: "off",
      fsyncInterval: 1,
      smallest: 100,
      snapshot: () => live.values(),
      metrics,
      log: (message) => assertEquals(message, ""),
      io: disk,
    }, true);
    const before = disk.renames;
    for (let i = 0; i < 1000; i++) {
      await log.append(
        `${i % 3}=${i}`,
        () => live.set(`${i % 3}`, `${i % 3}=${i}`),
      );
    }
    await log.compact();
    assert(disk.renames - before > 3 && disk.renames - before < 200);
    assertEquals(disk.text(path).trimEnd().split("\n").toSorted(), [...live.values()].toSorted());
    await log.close();
  },
);

Deno.test("appending goes on while the log is compacted, and loses nothing", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append, lines } = await openLog(disk);
  for (let i = 0; i < 10; i++) await append(`before ${i}`);
  const release = disk.hold("log.compact");
  const compacting = log.compact();
  await disk.held;
  for (let i = 0; i < 10; i++) await append(`during ${i}`);
  release();
  await compacting;
  await append("after");
  assertEquals(new Set(disk.text(path).trimEnd().split("\n")), new Set(lines));
  assertEquals(disk.text(path).trimEnd().split("\n").at(-1), "after");
  await log.close();
});

for (const operation of ["open", "write", "sync", "rename"] as const) {
  Deno.test(
    `a compaction whose ${operation} fails leaves the log as it was, and is told`,
    { permissions },
    async () => {
      const disk = new FakeDisk();
      const { log, append, logged } = await openLog(disk);
      await append("one");
      disk.failing.add(`${operation} log.compact`);
      await log.compact();
      assertEquals(logged.length, 1);
      disk.failing.clear();
      await append("two");
      assertEquals(disk.text(path), "one\ntwo\n");
      assertEquals(disk.names(), [path]);
      await log.compact();
      assertEquals(disk.text(path), "one\ntwo\n");
      await log.close();
      assertEquals(disk.opened, 0);
    },
  );
}

Deno.test("a compaction does not bring back what was written anew meanwhile", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append, logged, metrics } = await openLog(disk, { fsync: "always" });
  await append("one");
  const release = disk.hold("log.compact");
  const compacting = log.compact();
  await disk.held;
  disk.failing.add("sync log.new");
  await assertRejects(() => append("lost"), StoreError);
  disk.failing.clear();
  await append("two");
  release();
  await compacting;
  // The log is as short as it can be: that is no failure.
  assertEquals([logged, metrics.logFailures], [[], 1]);
  assertEquals(disk.afterPowerCut(path), "one\ntwo\n");
  await log.close();
  assertEquals([disk.names(), disk.opened], [[path], 0]);
});

Deno.test("closing waits for what is appended, and then nothing more is taken", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk);
  const waiting = append("one");
  await Promise.all([log.close(), waiting]);
  assertEquals(disk.afterPowerCut(path), "one\n");
  const error = await assertRejects(() => append("two"), StoreError);
  assert(error.message.includes("closed"));
  await log.close();
  assertEquals(disk.opened, 0);
});

Deno.test("closing says when it could not sync", { permissions }, async () => {
  const disk = new FakeDisk();
  const { log, append } = await openLog(disk);
  await append("one");
  disk.failing.add("sync");
  await assertRejects(() => log.close(), StoreError, "Cannot write dir/log");
  assertEquals(disk.opened, 0);
});
