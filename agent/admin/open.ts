import { Administration } from "../../cli/admin/administration.ts";
import { PlaceTaken, reasonOf } from "../../cli/admin/listen.ts";
import { agentPlace } from "./place.ts";
import type { AgentStatus } from "./status.ts";

/** What an agent needs to be administered. */
export interface OpenOptions {
  /** Begins its end. */
  readonly stop: () => void;
  /** Is told why it cannot be administered, and of who could pretend to be it. */
  readonly tell: (line: string) => void;
}

/**
 * Lets the agent with a database, which must be locked by now, be administered; `null` where that cannot be: it still
 * serves. Throws `Error` when somebody else has its place.
 */
export async function openAdministration(
  database: string,
  { stop, tell }: OpenOptions,
): Promise<Administration<AgentStatus> | null> {
  const place = await agentPlace(database);
  try {
    const administration = await Administration.listen<AgentStatus>(place, { stop });
    const folder = place.path.slice(0, place.path.lastIndexOf("/") + 1) || ".";
    if (await canOthersWrite(folder)) {
      tell(`others can write to ${folder}: they can put a database or socket of their own in its place`);
    }
    return administration;
  } catch (error) {
    if (error instanceof PlaceTaken) throw new Error(`Cannot start: ${error.message}`, { cause: error });
    tell(`status, top, reload, log-level and stop do not work: ${reasonOf(error)}`);
    return null;
  }
}

/** Whether others than the owner can replace files there. */
async function canOthersWrite(folder: string): Promise<boolean> {
  const { mode } = await Deno.stat(folder).catch(() => ({ mode: null }));
  const sticky = 0o1000;
  return mode !== null && (mode & 0o022) !== 0 && (mode & sticky) === 0;
}
