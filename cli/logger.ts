export const logLevels = ["error", "warn", "info", "debug"] as const;

export type LogLevel = typeof logLevels[number];

export type LogFormat = "text" | "json";

export type Logger = Readonly<Record<LogLevel, (message: string, error?: unknown) => void>>;

/** Its level can be changed at any time. */
export type AdjustableLogger = Logger & { level: LogLevel };

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly write: (line: string) => void;
  readonly now?: () => Date;
}

const quietTime = 1000;
const mostRemembered = 100;

interface Repeated {
  readonly at: number;
  count: number;
}

/** Messages never hold IDs, keys, addresses of clients or content: whoever logs sees to it. */
export function createLogger(
  { level, format, write, now = () => new Date() }: LoggerOptions,
): AdjustableLogger {
  const repeated = new Map<string, Repeated>();
  const log = (recordLevel: LogLevel) => (message: string, error?: unknown) => {
    if (logLevels.indexOf(recordLevel) > logLevels.indexOf(logger.level)) return;
    const time = now();
    const last = repeated.get(message);
    // A clock that was set back must not silence anything for long
    if (last !== undefined && Math.abs(time.getTime() - last.at) < quietTime) return void last.count++;
    repeated.delete(message);
    repeated.set(message, { at: time.getTime(), count: 0 });
    if (repeated.size > mostRemembered) repeated.delete(repeated.keys().next().value!);
    write(formatRecord(format, {
      time,
      level: recordLevel,
      message,
      reason: error === undefined ? undefined : reasonOf(error, logger.level),
      more: last?.count ?? 0,
    }));
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

interface LogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly reason: string | undefined;
  readonly more: number;
}

function formatRecord(format: LogFormat, { time, level, message, reason, more }: LogRecord): string {
  if (format === "json") {
    return oneLine(JSON.stringify({
      time: time.toISOString(),
      level,
      message,
      ...(reason !== undefined && { error: reason }),
      ...(more > 0 && { more }),
    }));
  }
  const text = reason === undefined ? message : `${message}: ${reason}`;
  const repeats = more > 0 ? ` (${more} more like it)` : "";
  return `${time.toISOString()} ${level.toUpperCase()} ${oneLine(text)}${repeats}`;
}

function reasonOf(error: unknown, level: LogLevel): string {
  if (!(error instanceof Error)) return String(error);
  return level === "debug" ? error.stack ?? error.message : error.message;
}

function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
