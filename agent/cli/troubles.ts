import { defaultPort, formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import type { AgentEvent } from "../events.ts";
import { printable } from "./print.ts";

/** Tells of what goes wrong while a command waits: of each server and connection once until it is something else. */
export class Troubles {
  readonly #tell: (line: string) => void;
  readonly #told = new Map<string, string>();
  /** What was told last and is not over. */
  last: string | undefined;

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** Tells of an event if it is one of these. */
  hear(event: AgentEvent): void {
    switch (event.type) {
      case "down":
        return this.say(
          formatAddress(event.server),
          `${nameOf(event.server)} cannot be reached, trying again`,
        );
      case "up":
        this.last = undefined;
        if (!this.#told.has(formatAddress(event.server)) && this.#told.size === 0) return;
        this.#told.clear();
        return this.#tell(`${nameOf(event.server)} is back`);
      case "error":
        return this.failed(event.connection, event.error);
      case "security":
        return this.say(event.connection, `${event.connection}: ${reasons[event.reason]}`);
      case "end":
        return this.say(event.connection, `${event.connection}: another program receives its messages now`);
      case "connected":
      case "message":
      case "sent":
      case "delivered":
      case "route":
      case "stream offered":
        return;
      case "session":
        if (event.change === "active") return;
        return this.say(event.connection, `${event.connection}: ${changes[event.change]}`);
      default:
        return event satisfies never;
    }
  }

  /** Tells that something has failed for a connection. */
  failed(connection: string, error: unknown): void {
    const code = error instanceof Error && "code" in error ? `${error.code}: ` : "";
    const message = error instanceof Error ? error.message : String(error);
    this.say(connection, `${connection}: ${code}${message}`);
  }

  /** Tells a line about something, unless it was the last one about that. */
  say(about: string, line: string): void {
    const clean = this.last = printable(line);
    if (this.#told.get(about) === clean) return;
    this.#told.set(about, clean);
    this.#tell(`warning: ${clean}`);
  }
}

const changes = {
  closed: "the other side has deleted the connection",
  slow: "the other side does not answer: messages wait for the session to begin",
} as const;

const reasons = {
  "second confirmation": "somebody else has tried to join it too, and was refused",
  "session out of step": "what comes cannot be decrypted: one side may be a restored backup",
  "session repaired":
    "its session was made anew, as one side was a restored backup: compare the safety code again",
  "confirmation not approved": "who wanted to join it was not let in",
} as const;

function nameOf({ host, port = defaultPort }: ServerAddress): string {
  return formatAddress({ host, port });
}
