/** The kinds of agent messages: a new one is a file here and a line in the table. */
import { asciiText, ParseError } from "../../protocol/mod.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { hello } from "./hello.ts";
import { key } from "./key.ts";
import type { Kind } from "./kind.ts";
import { msg } from "./msg.ts";
import { reply } from "./reply.ts";
import { upg } from "./upg.ts";

const table = { KEY: key, HELLO: hello, REPLY: reply, UPG: upg, MSG: msg };

type MessageOf<K> = K extends Kind<infer M> ? M : never;

/** What one agent tells the other, before it is encrypted (agent.md Agent-to-agent messages). */
export type AgentMessage = MessageOf<typeof table[keyof typeof table]>;

const kinds: ReadonlyMap<string, Kind<AgentMessage>> = new Map(
  Object.entries(table as unknown as Record<string, Kind<AgentMessage>>),
);

/** The kind with a name. Throws `RangeError` for one that is not in the table. */
export function kindOf(name: string): Kind<AgentMessage> {
  const kind = kinds.get(name);
  if (kind === undefined) throw new RangeError(`Cannot use agent message ${name}: there is no such kind`);
  return kind;
}

/** The plaintext of a message. */
export function encodeAgentMessage(message: AgentMessage): Uint8Array<ArrayBuffer> {
  return encodeFrame(kindOf(message.type), message);
}

/** Parses the plaintext of a message; `null` when it is none. Its body is a view of `plaintext`. */
export function parseAgentMessage(plaintext: Uint8Array): AgentMessage | null {
  const frame = decodeFrame(plaintext);
  if (frame === null) return null;
  const { head, content } = frame;
  const name = /^[A-Z_]{1,16}/.exec(asciiText(content.subarray(0, 17)))?.[0];
  const kind = name === undefined ? undefined : kinds.get(name);
  if (kind === undefined || kind.hasHead !== (head !== null)) return null;
  try {
    const parsed = kind.parse(content);
    return parsed && { ...parsed, ...head } as AgentMessage;
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}
