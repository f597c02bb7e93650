import type { NodeStatus } from "../cluster/node_status.ts";
import { type LogLevel, logLevels } from "../observe/logger.ts";
import type { Numbers } from "../observe/numbers.ts";
import type { WorkerCounts } from "../observe/prometheus.ts";
import { listOf, objectOf, oneOf, textOf } from "../workers/json.ts";

/** Characters of a request with its end of line. */
export const longestRequest = 1_024;

/** What an operator asks a running server for: one line of JSON on a connection of its own. */
export type AdminRequest =
  | { readonly type: "status" }
  | { readonly type: "reload" }
  | { readonly type: "stop" }
  | { readonly type: "log-level"; readonly level: LogLevel };

/** What `status --json` prints. */
export interface ServerStatus extends Numbers {
  readonly version: string;
  readonly pid: number;
  /** Seconds. */
  readonly uptime: number;
  /** Why nothing new should be sent to it; `null`: it is ready. */
  readonly notReady: string | null;
  readonly address: string;
  readonly port: number;
  readonly webSocketPort: number | null;
  /** Of WebSockets over TLS. */
  readonly tlsPort: number | null;
  /** `null`: queues and messages are kept in memory only, or by a cluster. */
  readonly storeLog: string | null;
  readonly cryptography: string;
  readonly logLevel: LogLevel;
  readonly workers?: WorkerCounts;
  readonly cluster?: NodeStatus;
}

/** The one line of JSON that answers. */
export type AdminReply =
  /** `lines`: what was done, for people. */
  | { readonly ok: true; readonly lines: readonly string[] }
  | { readonly ok: true; readonly status: ServerStatus }
  | { readonly ok: false; readonly error: string };

/** Lines of an answer at most, and characters of one. */
const mostLines = 100_000, longestText = 100_000;

/** Throws `ControlError`, or `SyntaxError` when it is no JSON. What a status has is not looked at. */
export function readReply(line: string): AdminReply {
  const given = objectOf(JSON.parse(line), "the answer");
  const text = (value: unknown) => textOf(value, "the answer", longestText);
  if (!oneOf(given["ok"], "ok", [true, false])) return { ok: false, error: text(given["error"]) };
  if (given["status"] === undefined) {
    return { ok: true, lines: listOf(given["lines"], "the answer", { most: mostLines, read: text }) };
  }
  return { ok: true, status: objectOf(given["status"], "status") as unknown as ServerStatus };
}

/** Throws `ControlError`, or `SyntaxError` when it is no JSON. */
export function readRequest(line: string): AdminRequest {
  const given = objectOf(JSON.parse(line), "a request");
  const type = oneOf(given["type"], "type", ["status", "reload", "stop", "log-level"]);
  return type === "log-level" ? { type, level: oneOf(given["level"], "level", logLevels) } : { type };
}
