import { LineReader } from "../../agent/service/line_reader.ts";
import { soon } from "./wait.ts";

/** A transmission of an agent: corrId, alias and command, with the body of a MSG or SDATA. */
export type Said = readonly [corrId: string, alias: string, command: string];

/** A client of the plaintext protocol that sends what it is told to. */
export class Telnet implements AsyncDisposable {
  readonly #connection: Deno.TcpConn;
  readonly #reader: LineReader;
  /** What the agent has said first. */
  greeting: string | null = "";

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    this.#reader = new LineReader(connection.readable, 1 << 20);
  }

  /** Connects and reads the greeting. */
  static async connect(port: number): Promise<Telnet> {
    const telnet = new Telnet(await Deno.connect({ hostname: "127.0.0.1", port }));
    telnet.greeting = await soon(telnet.#reader.line());
    return telnet;
  }

  /** Sends text as it is. */
  async type(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** Sends a transmission. */
  send(...lines: Said): Promise<void> {
    return this.type(lines.map((line) => `${line}\r\n`).join(""));
  }

  /** The next line; `null` at the end. */
  line(): Promise<string | null> {
    return soon(this.#reader.line());
  }

  /** The next transmission; `null` at the end. */
  async said(): Promise<Said | null> {
    const lines = [];
    for (let i = 0; i < 3; i++) {
      const line = await soon(this.#reader.line());
      if (line === null) return null;
      lines.push(line);
    }
    const [corrId, alias, command] = lines as [string, string, string];
    const size = /^(?:MSG .*|SDATA .*|HELP) (\d+)$/.exec(command)?.[1];
    if (size === undefined) return [corrId, alias, command];
    const body = await soon(this.#reader.body(Number(size)));
    const rest = await soon(this.#reader.line());
    return [corrId, alias, `${command}\n${new TextDecoder().decode(body!)}${rest}`];
  }

  /** Sends a transmission and gives what is said next. */
  async ask(...lines: Said): Promise<Said | null> {
    await this.send(...lines);
    return await this.said();
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#connection.close();
    } catch {
      // The other side has.
    }
    await this.#reader.line().catch(() => {});
  }
}
