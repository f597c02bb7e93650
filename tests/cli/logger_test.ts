import { assert, assertEquals, assertMatch } from "@std/assert";
import { createLogger, type LogFormat, type Logger, type LogLevel, logLevels } from "../../cli/logger.ts";

const permissions = "none";
const start = Date.UTC(2026, 0, 31, 10, 20, 30, 123);

/** A logger with its lines and a clock that stands until it is moved. */
class Recorded {
  readonly lines: string[] = [];
  /** Milliseconds since 1970. */
  time = start;
  readonly logger: Logger;

  constructor(format: LogFormat = "text", level: LogLevel = "info") {
    const write = (line: string) => void this.lines.push(line);
    this.logger = createLogger({ level, format, write, now: () => new Date(this.time) });
  }
}

Deno.test("a line of text has time, level, message and reason", { permissions }, () => {
  const { logger, lines } = new Recorded();
  logger.warn("Cannot write store log", new Error("disk is full"));
  logger.info("started");
  logger.error("Cannot go on", "no reason");
  assertEquals(lines, [
    "2026-01-31T10:20:30.123Z WARN Cannot write store log: disk is full",
    "2026-01-31T10:20:30.123Z INFO started",
    "2026-01-31T10:20:30.123Z ERROR Cannot go on: no reason",
  ]);
});

Deno.test("a line of JSON has time, level, message and error", { permissions }, () => {
  const { logger, lines } = new Recorded("json");
  logger.warn("Cannot write store log", new Error("disk is full"));
  logger.info("started");
  const time = "2026-01-31T10:20:30.123Z";
  assertEquals(lines.map((line) => JSON.parse(line)), [
    { time, level: "warn", message: "Cannot write store log", error: "disk is full" },
    { time, level: "info", message: "started" },
  ]);
});

Deno.test("only records that are at least as bad as the level are written", { permissions }, () => {
  for (const level of logLevels) {
    const { logger, lines } = new Recorded("json", level);
    for (const name of logLevels) logger[name](name);
    const expected = logLevels.slice(0, logLevels.indexOf(level) + 1);
    assertEquals(lines.map((line) => JSON.parse(line).message), [...expected]);
  }
});

Deno.test(
  "whatever a message holds, a record is one line without control characters",
  { permissions },
  () => {
    const nasty = "a\nb\r\nc\0d\x1b[31me\x7ff\x85g\u2028h\u2029i";
    for (const format of ["text", "json"] as const) {
      const { logger, lines } = new Recorded(format);
      logger.error(nasty, new Error(nasty));
      assertEquals(lines.length, 1);
      // deno-lint-ignore no-control-regex
      assert(!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(lines[0]!));
      if (format === "text") assertMatch(lines[0]!, /ERROR a\\u000ab\\u000d\\u000ac\\u0000d/);
      else assertEquals(JSON.parse(lines[0]!).error, nasty);
    }
  },
);

Deno.test("stacks are written at level debug only", { permissions }, () => {
  for (const level of ["info", "debug"] as const) {
    const { logger, lines } = new Recorded("json", level);
    logger.error("failed", new Error("reason"));
    const { error } = JSON.parse(lines[0]!);
    if (level === "info") assertEquals(error, "reason");
    else assertMatch(error, /logger_test\.ts/);
  }
});

Deno.test(
  "a message that floods is one line a second, which tells how many there were",
  { permissions },
  () => {
    const recorded = new Recorded();
    const { logger, lines } = recorded;
    for (let i = 0; i < 2500; i++, recorded.time++) logger.error("Cannot accept", new Error("again"));
    assertEquals(lines.map((line) => line.slice(25)), [
      "ERROR Cannot accept: again",
      "ERROR Cannot accept: again (999 more like it)",
      "ERROR Cannot accept: again (999 more like it)",
    ]);
    recorded.time += 10_000;
    logger.error("Cannot accept", new Error("again"));
    assertEquals(lines.at(-1)!.slice(25), "ERROR Cannot accept: again (499 more like it)");
    recorded.time += 10_000;
    logger.error("Cannot accept", new Error("again"));
    assertEquals(lines.at(-1)!.slice(25), "ERROR Cannot accept: again");
  },
);

Deno.test("a flood of one message does not silence another", { permissions }, () => {
  const { logger, lines } = new Recorded();
  for (let i = 0; i < 10; i++) {
    logger.error("flood");
    logger.warn(`other ${i}`);
  }
  assertEquals(lines.length, 11);
});

Deno.test("a clock that is set back silences nothing for longer", { permissions }, () => {
  const recorded = new Recorded();
  recorded.logger.error("failed");
  recorded.time -= 3_600_000;
  recorded.logger.error("failed");
  assertEquals(recorded.lines.length, 2);
});
