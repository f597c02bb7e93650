import type { StreamContent } from "../../protocol/mod.ts";
import type { AgentContext } from "../runtime/context.ts";
import type { Connection, StreamPart, StreamRecord } from "../store/store.ts";
import type { StreamError } from "./error.ts";
import type { StreamLinks } from "./links.ts";

/** What one stream needs of the agent. */
export interface StreamPorts {
  readonly context: AgentContext;
  readonly links: StreamLinks;
  /** When it was offered, as deadlines go: not by a clock that may be set. */
  readonly since: number;
  /** The connection as it is now; `undefined`: it is deleted, or its session has ended. */
  connection(): Connection | undefined;
  /** What is stored of it; `undefined`: it has ended. */
  record(): StreamRecord | undefined;
  /** Tells the other side, if the stream has not ended. Throws what the store throws. */
  tell(content: StreamContent): Promise<void>;
  /** The same; and it is accepted from now on. */
  accept(content: StreamContent): Promise<void>;
  /** Remembers where what has come is, if the stream has not ended. Throws what the store throws. */
  keep(part: StreamPart): Promise<void>;
  /** Ends it here, once, and tells the other side, which does not know it; `null`: all of it was received. */
  end(error: StreamError | null): Promise<void>;
}
