import { AgentError } from "../protocol/error.ts";
import type { Connection } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";

/** The safety code of a connection's session; `null` before there is one. */
export function safetyCodeOf({ session }: Connection): string | null {
  return session?.keys.safetyCode ?? null;
}

/** Marks a safety code as compared, or not. See `Agent.verify`. */
export async function verifySession(
  { connections }: AgentContext,
  interpreter: Interpreter,
  { alias, compared }: { readonly alias: string; readonly compared: boolean | string },
): Promise<void> {
  const connection = connections.get(alias);
  if (safetyCodeOf(connection) === null) {
    throw new AgentError("CMD PROHIBITED", `Cannot verify "${alias}": it has no session`);
  }
  await interpreter.do(connection.record.id, { type: "verified", compared });
}
