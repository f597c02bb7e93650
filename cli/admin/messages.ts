import { listOf, objectOf, oneOf, textOf } from "../json.ts";
import { type LogLevel, logLevels } from "../logger.ts";

/** Characters of a request with its end of line. */
export const longestRequest = 1_024;

/** What an operator asks a running server or agent for: one line of JSON on a connection of its own. */
export type AdminRequest =
  | { readonly type: "status" }
  | { readonly type: "reload" }
  | { readonly type: "stop" }
  | { readonly type: "log-level"; readonly level: LogLevel };

/** The one line of JSON that answers; `Status` is what `status --json` prints. */
export type AdminReply<Status> =
  /** `lines`: what was done, for people. */
  | { readonly ok: true; readonly lines: readonly string[] }
  | { readonly ok: true; readonly status: Status }
  | { readonly ok: false; readonly error: string };

/** Lines of an answer at most, and characters of one. */
const mostLines = 100_000, longestText = 100_000;

/** Throws `ControlError`, or `SyntaxError` when it is no JSON. What a status has is not looked at. */
export function readReply<Status>(line: string): AdminReply<Status> {
  const given = objectOf(JSON.parse(line), "the answer");
  const text = (value: unknown) => textOf(value, "the answer", longestText);
  if (!oneOf(given["ok"], "ok", [true, false])) return { ok: false, error: text(given["error"]) };
  if (given["status"] === undefined) {
    return { ok: true, lines: listOf(given["lines"], "the answer", { most: mostLines, read: text }) };
  }
  return { ok: true, status: objectOf(given["status"], "status") as unknown as Status };
}

/** Throws `ControlError`, or `SyntaxError` when it is no JSON. */
export function readRequest(line: string): AdminRequest {
  const given = objectOf(JSON.parse(line), "a request");
  const type = oneOf(given["type"], "type", ["status", "reload", "stop", "log-level"]);
  return type === "log-level" ? { type, level: oneOf(given["level"], "level", logLevels) } : { type };
}
