import { joinParts, latin1Bytes, textBytes } from "../../protocol/mod.ts";
import type { Agent } from "../agent.ts";
import { inBatches } from "../batches.ts";
import { type AgentError, agentError, type AgentErrorCode } from "../protocol/error.ts";
import { subscriptionBatch } from "../servers.ts";
import { formatResponse, parseCommandLine, type ServiceCommand, type ServiceResponse } from "./command.ts";
import { LineError, LineReader } from "./line_reader.ts";

/** A socket of a client. */
export interface SessionSocket {
  readonly readable: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): void;
}

/** What a session needs from the service that it belongs to. */
export interface SessionOwner {
  readonly agent: Agent;
  /** What the first command has to bring; `null` for nothing. */
  readonly token: string | null;
  /** From now on this session hears of a connection, and no other does. */
  claim(alias: string, session: Session): void;
  /** The session that hears of a connection. */
  owner(alias: string): Session | undefined;
  /** Nobody hears of a connection any more. */
  release(alias: string): void;
}

/** Bytes of a line: no command is longer (an invitation with a key of 4096 bits and its exponent has less than 2200). */
export const longestLine = 16_384;
/** Bytes of a body that are read; a longer one does not fit a message anyway. */
const longestBody = 65_536;
/** Bytes of a body that are passed over. */
const longestSkip = 1 << 24;

/** What comes with a connection's answer later. */
interface Waiting {
  /** A JOIN without its `CON` or `ERR`; the alias as the client gave it, empty where one was made. */
  join?: { readonly corrId: string; readonly alias: string };
  /** The corrIds of SENDs without their `SENT` or `ERR`, by the number of the message. */
  readonly sends: Map<number, string>;
}

/** One client of the plaintext protocol (agent.md Plaintext agent protocol). */
export class Session {
  readonly #socket: SessionSocket;
  readonly #owner: SessionOwner;
  readonly #waiting = new Map<string, Waiting>();
  #writing: Promise<void> = Promise.resolve();
  #isAllowed: boolean;
  #isClosed = false;

  /** Does nothing yet. */
  constructor(socket: SessionSocket, owner: SessionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#isAllowed = owner.token === null;
  }

  /** Serves the client until it goes or does not speak the protocol. Never rejects. */
  async run(): Promise<void> {
    const reader = new LineReader(this.#socket.readable, longestLine);
    try {
      await this.#write(textBytes("Welcome to SMP v0.3.2 agent\r\n"));
      // What was said is read before more is asked: a client that does not read cannot fill the memory.
      while (!this.#isClosed && await this.#transmission(reader)) await this.#writing;
    } catch {
      // The client has gone, or is none.
    }
    await this.close();
  }

  /** Says something to the client; resolves when it is written, rejects when the client has gone. */
  say(corrId: string, alias: string, response: ServiceResponse): Promise<void> {
    const text = formatResponse(response);
    return this.#write(joinParts([latin1Bytes(`${corrId}\r\n`), textBytes(`${alias}\r\n`), ...text, "\r\n"]));
  }

  /** Tells what has happened to a connection; for what answers a command, with its corrId. */
  notify(alias: string, response: ServiceResponse, id?: number): Promise<void> {
    const waiting = this.#waiting.get(alias);
    let corrId = "";
    if (id !== undefined) {
      corrId = waiting?.sends.get(id) ?? "";
      waiting?.sends.delete(id);
    } else if (waiting?.join !== undefined && (response.type === "CON" || response.type === "ERR")) {
      const { join } = waiting;
      delete waiting.join;
      // CON is a notification; only a failure answers JOIN.
      if (response.type === "ERR") return this.say(join.corrId, join.alias, response);
    }
    return this.say(corrId, alias, response);
  }

  /** Forgets a connection that another session has taken over. */
  forget(alias: string): void {
    this.#waiting.delete(alias);
  }

  /** Closes the socket when everything is written. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing.catch(() => {});
    this.#socket.close();
  }

  #write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const written = this.#writing.then(() => this.#socket.write(bytes));
    this.#writing = written.catch(() => {});
    return written;
  }

  /** Reads and executes a transmission; `false` at the end. */
  async #transmission(reader: LineReader): Promise<boolean> {
    const corrId = await reader.line();
    if (corrId === null) return false;
    // A browser that was made to send something here must not reach the next line.
    if (/^[A-Z]+ \S+ HTTP\/\d/.test(corrId)) throw new LineError("this is not an HTTP server");
    const [name, line] = [await reader.line(), await reader.line()];
    if (name === null || line === null) return false;
    const alias = utf8(name);
    if (alias === null) return await this.#refuse(corrId, "", "CMD SYNTAX");
    const parsed = parseCommandLine(line);
    if (!parsed.ok) return await this.#refuse(corrId, alias, parsed.error);
    const command = "size" in parsed ? await this.#readBody(reader, parsed.size) : parsed.command;
    if (command === null) return false;
    if (typeof command === "string") return await this.#refuse(corrId, alias, command);
    if (!this.#isAllowed) return await this.#admit(corrId, alias, command);
    if (alias === "" && command.type !== "NEW" && command.type !== "JOIN") {
      return await this.#refuse(corrId, alias, "CMD NO_CONN");
    }
    try {
      await this.#execute(corrId, alias, command);
    } catch (error) {
      await this.#say(corrId, alias, agentError(error));
    }
    return true;
  }

  /** A SEND with its body, or what is wrong with it; `null` at the end. */
  async #readBody(reader: LineReader, size: number): Promise<ServiceCommand | AgentErrorCode | null> {
    if (size > longestSkip) throw new LineError("a body is larger than any message");
    let body = null;
    if (size > longestBody) await reader.skip(size);
    else if ((body = await reader.body(size)) === null) return null;
    const rest = await reader.line();
    if (rest === null) return null;
    if (rest !== "") return "CMD SIZE";
    return body === null ? "CMD LARGE" : { type: "SEND", body };
  }

  async #admit(corrId: string, alias: string, command: ServiceCommand): Promise<boolean> {
    this.#isAllowed = command.type === "TOKEN" && equalTexts(command.token, this.#owner.token!);
    if (!this.#isAllowed) await this.#refuse(corrId, alias, "CMD PROHIBITED");
    else await this.say(corrId, alias, { type: "OK" });
    return this.#isAllowed;
  }

  async #refuse(corrId: string, alias: string, error: AgentErrorCode): Promise<boolean> {
    await this.say(corrId, alias, { type: "ERR", error, message: "" });
    return this.#isAllowed;
  }

  async #say(corrId: string, alias: string, { code, message }: AgentError): Promise<void> {
    await this.say(corrId, alias, { type: "ERR", error: code, message });
  }

  async #execute(corrId: string, alias: string, command: ServiceCommand): Promise<void> {
    const { agent } = this.#owner;
    switch (command.type) {
      case "NEW": {
        const { connection, invitation } = await agent.create(alias || undefined);
        this.#owner.claim(connection, this);
        return await this.say(corrId, connection, { type: "INV", invitation });
      }
      case "JOIN":
        return await this.#join(corrId, alias, command);
      case "SUB":
        await this.#subscribe(alias);
        return await this.say(corrId, alias, { type: "OK" });
      case "SUBALL":
        return await this.#subscribeAll(corrId);
      case "SEND": {
        const id = await agent.send(alias, command.body);
        this.#waitingFor(alias).sends.set(id, corrId);
        return;
      }
      case "OFF":
        await agent.suspend(alias);
        return await this.say(corrId, alias, { type: "OK" });
      case "DEL":
        await agent.delete(alias);
        this.#owner.release(alias);
        this.#waiting.delete(alias);
        return await this.say(corrId, alias, { type: "OK" });
      case "TOKEN":
        return await this.say(corrId, alias, { type: "OK" });
      default:
        return command satisfies never;
    }
  }

  async #join(
    corrId: string,
    alias: string,
    { invitation, reply }: Extract<ServiceCommand, { readonly type: "JOIN" }>,
  ): Promise<void> {
    const connection = await this.#owner.agent.join(invitation, { reply, ...(alias && { alias }) });
    this.#owner.claim(connection, this);
    this.#waitingFor(connection).join = { corrId, alias };
  }

  async #subscribeAll(corrId: string): Promise<void> {
    const { agent } = this.#owner;
    const all = agent.connections().filter(({ canReceive }) => canReceive);
    await inBatches(all, subscriptionBatch, async ({ connection }) => {
      try {
        await this.#subscribe(connection);
        await this.say(corrId, connection, { type: "OK" });
      } catch (error) {
        await this.#say(corrId, connection, agentError(error));
      }
    });
  }

  async #subscribe(alias: string): Promise<void> {
    // A message that comes with the answer must find somebody; a session that is there goes on until it is taken over.
    const isFree = this.#owner.owner(alias) === undefined;
    if (isFree) this.#owner.claim(alias, this);
    try {
      await this.#owner.agent.subscribe(alias);
    } catch (error) {
      if (isFree && this.#owner.owner(alias) === this) this.#owner.release(alias);
      throw error;
    }
    this.#owner.claim(alias, this);
  }

  #waitingFor(alias: string): Waiting {
    let waiting = this.#waiting.get(alias);
    if (waiting === undefined) this.#waiting.set(alias, waiting = { sends: new Map() });
    return waiting;
  }
}

/** Text whose bytes are given as Latin-1 characters; `null` when they are not UTF-8. */
function utf8(bytes: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(latin1Bytes(bytes));
  } catch {
    return null;
  }
}

/** Takes a time that does not depend on where the texts differ. */
function equalTexts(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % b.length);
  return difference === 0;
}
