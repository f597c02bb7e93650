import { largestBody, sha256 } from "../../protocol/mod.ts";
import type { ConnectionEvent } from "../core/types.ts";
import { nextMessage, sendingRoutes } from "../kinds/msg.ts";
import { AgentError } from "../protocol/error.ts";
import type { Connection } from "../store/store.ts";
import { nextMessageHash } from "./frames.ts";
import { longestPlaintext } from "./seal.ts";

/** Milliseconds by which times may be ahead when many messages are sent at once. */
const longestAhead = 60_000;

/**
 * What happens when a body is sent: as a message of 0.3, or as a frame, which may wait for its session. Throws
 * {@linkcode AgentError} (`CMD LARGE`, `CONN SIMPLEX`).
 */
export async function outgoing(
  connection: Connection,
  body: Uint8Array<ArrayBuffer>,
  time: number,
): Promise<ConnectionEvent> {
  const { record: { alias }, session } = connection;
  if (session?.status === "closed") {
    throw new AgentError(
      "CONN SIMPLEX",
      `Cannot send to "${alias}": the other side has deleted the connection`,
    );
  }
  const routes = session?.status === "active" ? [] : sendingRoutes(connection);
  if (session !== null && session.status !== "greeting") {
    checkSize(body.length, largestBody);
  } else {
    // A frame that waits for the other side's HELLO may come to go as this, too.
    const plaintext = nextMessage(connection, body, time);
    checkSize(plaintext.length, Math.min(...routes.map(({ keys }) => longestPlaintext(keys))));
    if (session === null) return { type: "send", body, plaintext, hash: await sha256(plaintext) };
  }
  const at = timeAfter(session.sentAt ?? 0, time);
  return { type: "send frame", body, time: at, hash: await nextMessageHash(connection, { body, time: at }) };
}

/** The time of a message: no two of a connection that say the same have the same one, as long as clocks are not set. */
function timeAfter(last: number, now: number): number {
  return now <= last && last - now < longestAhead ? last + 1 : now;
}

function checkSize(length: number, most: number): void {
  const excess = length - most;
  if (excess > 0) throw new AgentError("CMD LARGE", `Cannot send: the message is ${excess} bytes too long`);
}
