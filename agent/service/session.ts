import { joinParts, largestBody, latin1Bytes, SocketLooks, textBytes } from "../../protocol/mod.ts";
import type { Clock } from "../clock.ts";
import { AgentError } from "../protocol/error.ts";
import type { StreamOffer } from "../stream/types.ts";
import {
  type BodyLine,
  type Extension,
  formatResponse,
  type Mode,
  parseCommandLine,
  type ServiceCommand,
  type ServiceErrorCode,
  type ServiceResponse,
  withoutConnection,
} from "./command.ts";
import { formatJson, parseJsonRequest, type RequestId } from "./json.ts";
import { LineError, LineReader } from "./line_reader.ts";
import type { Notifier } from "./notifier.ts";
import { Output } from "./output.ts";
import { SessionCommands } from "./session_commands.ts";
import { SessionStreams } from "./session_streams.ts";
import { utf8 } from "./stream_command.ts";
import type { Subscriber } from "./watch.ts";

/** A socket of a client. */
export interface SessionSocket {
  readonly readable: AsyncIterable<Uint8Array>;
  /** Writes some of the bytes; gives how many. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  /** Says that nothing more is written. */
  closeWrite(): Promise<void>;
  close(): void;
}

/** How a session is served. Times are in milliseconds. */
export interface SessionOptions {
  readonly notifier: Notifier;
  /** What the first command has to bring; `null` for nothing. */
  readonly token: Uint8Array | null;
  /** For the token. */
  readonly tokenTimeout: number;
  /** In which a client must read something of what is written. */
  readonly writeTimeout: number;
  /** Between what a client is told while its stream has no room. */
  readonly roomNotice: number;
  readonly clock: Clock;
}

/** Bytes of a line: no command is longer (an invitation with a key of 4096 bits and its exponent has less than 2200). */
const longestLine = 16_384;
/** Bytes of a line in the mode `json`, where bodies are in it: the largest has 1 398 104 in base64. */
const longestJson = 2 * largestBody;
/** Bytes of a body that are read before the token is given. */
const longestBody = 65_536;
/** Commands after which all others that wait have their turn: what reads in Deno does not give way by itself. */
const commandsPerTurn = 32;
/** Bytes of a body that are passed over. */
const longestSkip = 1 << 24;
/** Milliseconds for, and bytes of, what a client sends after it was told that the session ends. */
const farewell = { wait: 1000, bytes: 1 << 20 };

/** One client of the plaintext protocol (agent.md Plaintext agent protocol). */
export class Session implements Subscriber {
  readonly #socket: SessionSocket;
  readonly #options: SessionOptions;
  readonly #output: Output;
  readonly #reader: LineReader;
  readonly #closed = new AbortController();
  readonly #admitted = new AbortController();
  #isAdmitted: boolean;
  #acknowledges = false;
  readonly #commands: SessionCommands;
  readonly #streams: SessionStreams;
  /** Whether the agent stops, and not the client. */
  #isStopping = false;
  #isJson = false;

  /** Does nothing yet. */
  constructor(socket: SessionSocket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new LineReader(socket.readable, longestLine);
    this.#output = new Output({
      write: (bytes) => socket.write(bytes),
      stalled: () => this.abort(),
      deadline: options.writeTimeout,
      clock: options.clock,
    });
    const { notifier } = options;
    this.#streams = new SessionStreams(notifier.agent, {
      say: (id, alias, response, about) => this.say(id, alias, response, about),
      isJoined: (offer) => notifier.joined.has(offer),
      joined: (offer) => void notifier.joined.add(offer),
      wait: (signal) => options.clock.wait(options.roomNotice, signal),
      isWritten: () => this.#output.isIdle,
      signal: this.#closed.signal,
    });
    this.#commands = new SessionCommands(notifier, {
      client: this,
      streams: this.#streams,
      isJson: () => this.#isJson,
      set: (mode) => this.#set(mode),
    });
    this.#isAdmitted = options.token === null;
  }

  /** Whether it has given the token, where there is one. */
  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  /** See {@linkcode Subscriber}. */
  get isFull(): boolean {
    return this.#output.isFull;
  }

  /** See {@linkcode Subscriber}. */
  get acknowledges(): boolean {
    return this.#acknowledges;
  }

  /** See {@linkcode Subscriber}. */
  get extensions(): ReadonlySet<Extension> {
    return this.#commands.extensions;
  }

  /** Serves the client until it goes or does not speak the protocol. Never rejects. */
  async run(): Promise<void> {
    const { notifier, clock, tokenTimeout } = this.#options;
    notifier.attach(this);
    if (!this.#isAdmitted) {
      const signal = AbortSignal.any([this.#admitted.signal, this.#closed.signal]);
      void clock.wait(tokenTimeout, signal).then(() => {
        if (!this.#isAdmitted) this.abort();
      });
    }
    try {
      await this.#output.put(textBytes("Welcome to SMP v0.3.2 agent\r\n"));
      const looks = new SocketLooks();
      for (let served = 1; await this.#serve() && !this.#closed.signal.aborted; served++) {
        if (served % commandsPerTurn === 0) await looks.next();
        // A client that does not read cannot ask for more.
        await this.#output.room();
      }
      await this.#end();
    } catch {
      // The client has gone, or is none.
    }
    this.abort();
    notifier.release(this);
    this.#streams.end({ isStopping: this.#isStopping });
  }

  /** See {@linkcode Subscriber}. */
  say(id: RequestId | null, alias: string, response: ServiceResponse, about = ""): Promise<void> {
    // A client that stops reading for long may do so where there is nothing but streams.
    const how = { about, canWait: response.type === "SDATA" || response.type === "SWAIT" };
    if (this.#isJson) return this.#output.put(textBytes(`${formatJson(id, alias, response)}\n`), how);
    const text = formatResponse(response);
    if (text === null) return Promise.resolve();
    const head = [latin1Bytes(`${id ?? ""}\r\n`), textBytes(`${alias}\r\n`)];
    return this.#output.put(joinParts([...head, ...text, "\r\n"]), how);
  }

  /** See {@linkcode Subscriber}. */
  offered(offer: StreamOffer, about: string): void {
    if (!this.extensions.has("streams")) return;
    this.#streams.offered(offer, { about, isOwn: () => this.#options.notifier.owns(this, about) });
  }

  /** See {@linkcode Subscriber}. */
  drop(about: string): void {
    this.#output.drop(about);
  }

  /** See {@linkcode Subscriber}. */
  room(): Promise<void> {
    return this.#output.room();
  }

  /** Closes the socket when everything is written, or the client takes too long to read it. */
  async close(): Promise<void> {
    this.#isStopping = true;
    const { clock } = this.#options;
    await Promise.race([this.#output.finish(), clock.wait(farewell.wait, this.#closed.signal)]);
    this.abort();
  }

  /** Closes the socket at once. */
  abort(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#output.fail(new Error("The session has ended"));
    this.#socket.close();
  }

  /** What was said arrives even if the client is still sending: a socket that is closed with bytes unread is reset. */
  async #end(): Promise<void> {
    await this.#output.finish();
    await this.#socket.closeWrite();
    const { clock } = this.#options;
    void clock.wait(farewell.wait, this.#closed.signal).then(() => this.abort());
    await this.#reader.skip(farewell.bytes);
  }

  /** Reads and executes a command; `false` at the end. */
  #serve(): Promise<boolean> {
    return this.#isJson ? this.#serveJson() : this.#serveText();
  }

  async #serveJson(): Promise<boolean> {
    let line;
    try {
      line = await this.#reader.line();
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      const reason = `a line is longer than ${longestJson} bytes`;
      await this.say(null, "", { type: "ERR", error: "CMD LARGE", message: reason });
      return false;
    }
    if (line === null) return false;
    const request = parseJsonRequest(line);
    if (request.ok) return await this.#try(request.id, request.connection, request.command);
    const { id, error, reason } = request;
    await this.say(id, "", { type: "ERR", error, message: reason });
    return true;
  }

  async #serveText(): Promise<boolean> {
    const reader = this.#reader;
    let corrId = "";
    let alias: string | null = "";
    let tooLong: ServiceErrorCode = "CMD SYNTAX";
    try {
      const first = await reader.line();
      if (first === null) return false;
      // A browser that was made to send something here must not reach the next line.
      if (/^\S+ \S+ HTTP\/\d/.test(first)) throw new Error("this is not an HTTP server");
      // The first message of TLS has what another server has chosen: tickets to resume a session.
      if (first.startsWith("\x16\x03")) throw new Error("this is not a TLS server");
      if (!this.#isAdmitted && first.startsWith("TOKEN ")) return await this.#explainToken();
      corrId = first;
      const name = await reader.line();
      if (name === null) return false;
      alias = utf8(name);
      const line = await commandLine(reader);
      if (line === null) return false;
      if (alias === null) return await this.#refuse(corrId, "", "CMD SYNTAX");
      if (line === tooLongText) {
        tooLong = "CMD LARGE";
        throw new LineError("");
      }
      const parsed = parseCommandLine(line);
      if (!parsed.ok) return await this.#refuse(corrId, alias, parsed.error);
      if (!("size" in parsed)) return await this.#admit(corrId, alias, parsed.command);
      tooLong = "CMD SIZE";
      if (parsed.size > longestSkip) {
        await this.#refuse(corrId, alias, "CMD LARGE");
        return false;
      }
      const command = await this.#readBody(parsed);
      if (command === null) return false;
      if (typeof command === "string") return await this.#refuse(corrId, alias, command);
      return await this.#admit(corrId, alias, command);
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      await this.#refuse(corrId, alias ?? "", tooLong);
      return false;
    }
  }

  /** A command with its body, or what is wrong with it; `null` at the end. */
  async #readBody(line: BodyLine): Promise<ServiceCommand | ServiceErrorCode | null> {
    const reader = this.#reader;
    const { size, most, tooLarge } = line;
    let body = null;
    if (size > (this.#isAdmitted ? most : Math.min(most, longestBody))) await reader.skip(size);
    else if ((body = await reader.body(size)) === null) return null;
    const rest = await reader.line();
    if (rest === null) return null;
    if (rest !== "") return "CMD SIZE";
    return body === null ? tooLarge : line.with(body);
  }

  /** Executes a command if the token is given, or the command gives it. */
  async #admit(corrId: string, alias: string, command: ServiceCommand): Promise<boolean> {
    if (this.#isAdmitted) return await this.#try(corrId, alias, command);
    const isRight = command.type === "TOKEN" &&
      equalSecrets(latin1Bytes(command.token), this.#options.token!);
    if (!isRight) return await this.#refuse(corrId, alias, "CMD PROHIBITED");
    this.#isAdmitted = true;
    this.#admitted.abort();
    await this.say(corrId, alias, { type: "OK" });
    return true;
  }

  async #explainToken(): Promise<boolean> {
    const message = "a command has three lines: a number, a name that may be empty, and TOKEN with the token";
    await this.say(null, "", { type: "ERR", error: "INTERNAL", message });
    return false;
  }

  async #refuse(corrId: string, alias: string, error: ServiceErrorCode): Promise<boolean> {
    await this.say(corrId, alias, { type: "ERR", error, message: "" });
    return this.#isAdmitted;
  }

  /** Executes a command and says what is wrong with it; `false` when it ends the session. */
  async #try(id: RequestId, alias: string, command: ServiceCommand): Promise<boolean> {
    const { type } = command;
    try {
      const needsName = type !== "NEW" && type !== "JOIN" && !withoutConnection.has(type);
      // In JSON there is no name that SUBALL would need.
      if (alias === "" && needsName && !(this.#isJson && type === "SUBALL")) {
        throw new AgentError("CMD NO_CONN", "the command is about a connection, which it does not name");
      }
      await this.#commands.execute(id, alias, command);
    } catch (error) {
      await this.#commands.fail(id, alias, error);
    }
    return type !== "QUIT";
  }

  #set(mode: Mode): void {
    if (mode === "manual" || mode === "auto") this.#acknowledges = mode === "manual";
    else this.#isJson = mode === "json";
    this.#reader.longest = this.#isJson ? longestJson : longestLine;
  }
}

const tooLongText = Symbol("a text is longer than any message");

/** The line of a command; what is too long as `SEND :` is told from the rest. */
async function commandLine(reader: LineReader): Promise<string | null | typeof tooLongText> {
  try {
    return await reader.line();
  } catch (error) {
    if (error instanceof LineError && error.start.startsWith("SEND :")) return tooLongText;
    throw error;
  }
}

/** Takes a time that does not depend on where they differ. */
function equalSecrets(given: Uint8Array, secret: Uint8Array): boolean {
  let difference = given.length ^ secret.length;
  for (let i = 0; i < given.length; i++) difference |= given[i]! ^ secret[i % secret.length]!;
  return difference === 0;
}
