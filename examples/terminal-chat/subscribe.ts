import { type Agent, AgentError } from "../../agent/mod.ts";
import type { Show } from "./chat.ts";
import { harmless } from "./screen.ts";

/** Milliseconds between tries. */
const [firstDelay, mostDelay] = [1_000, 60_000];

/** Receives from all connections: tries again, until each server has answered or `signal` ends it. */
export async function subscribeAll(agent: Agent, show: Show, signal: AbortSignal): Promise<void> {
  let waiting = agent.connections().filter(({ canReceive }) => canReceive).map(({ connection }) =>
    connection
  );
  for (let delay = firstDelay, isFirst = true;; delay = Math.min(mostDelay, delay * 1.5), isFirst = false) {
    const results = await Promise.all(waiting.map((connection) => subscribe(agent, connection)));
    if (signal.aborted) return;
    const reached = waiting.filter((_, i) => results[i] === null);
    if (reached.length > 0) show(`talking to ${reached.join(", ")}`, "notice");
    else if (isFirst) show("/help shows what there is", "notice");
    const again: string[] = [];
    for (const [i, connection] of waiting.entries()) {
      const error = results[i] ?? null;
      if (error === null || error.code.startsWith("CONN ")) continue;
      const isTemporary = error.code.startsWith("BROKER ") || error.code === "SMP INTERNAL";
      if (isTemporary) again.push(connection);
      const what = `${connection}: ${harmless(error.message)} (${error.code})`;
      if (isFirst || !isTemporary) show(`${what}${isTemporary ? "; trying again" : ""}`, "warning");
    }
    if (again.length === 0) return;
    waiting = again;
    await pause(delay, signal);
    if (signal.aborted) return;
  }
}

async function subscribe(agent: Agent, connection: string): Promise<AgentError | null> {
  try {
    await agent.subscribe(connection);
    return null;
  } catch (error) {
    if (error instanceof AgentError) return error;
    throw error;
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
