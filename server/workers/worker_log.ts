import { type AdjustableLogger, type LogLevel, logLevels } from "../../cli/logger.ts";
import type { FromWorker } from "./messages.ts";

const mostASecond = 100;
const longest = 2000;

/** A worker's log, which the parent writes: it has the format, and leaves out what is repeated. */
export function workerLogger(
  level: LogLevel,
  send: (message: FromWorker) => void,
  now: () => number = () => performance.now(),
): AdjustableLogger {
  let second = -Infinity, count = 0;
  const log = (recordLevel: LogLevel) => (message: string, error?: unknown) => {
    if (logLevels.indexOf(recordLevel) > logLevels.indexOf(logger.level)) return;
    if (now() - second >= 1000) [second, count] = [now(), 0];
    if (++count > mostASecond) return;
    const reason = error === undefined ? null : reasonOf(error, logger.level).slice(0, longest);
    send({ type: "log", level: recordLevel, message: message.slice(0, longest), error: reason });
  };
  const logger: AdjustableLogger = {
    level,
    error: log("error"),
    warn: log("warn"),
    info: log("info"),
    debug: log("debug"),
  };
  return logger;
}

function reasonOf(error: unknown, level: LogLevel): string {
  if (!(error instanceof Error)) return String(error);
  return level === "debug" ? error.stack ?? error.message : error.message;
}
