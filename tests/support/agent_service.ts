import { assertEquals } from "@std/assert";
import { Agent, type AgentOptions } from "../../agent/mod.ts";
import { AgentService, type ServiceOptions } from "../../agent/service/service.ts";
import type { SessionSocket } from "../../agent/service/session.ts";
import { latin1Bytes, textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { keySource } from "./agent.ts";
import type { Said, Telnet } from "./telnet.ts";
import { until } from "./wait.ts";

/** Starts an agent on a server and its port. */
export async function startService(
  server: SmpServer | string,
  options: Partial<Omit<ServiceOptions, "agent">> = {},
  agentOptions: Partial<AgentOptions> = {},
): Promise<AgentService> {
  const agent = await Agent.start({
    servers: [typeof server === "string" ? server : server.address],
    acknowledge: "manual",
    keyPool: keySource(),
    retry: { first: 5, most: 50 },
    ...agentOptions,
  });
  return AgentService.start({ agent, host: "127.0.0.1", port: 0, ...options });
}

/** The command of what was said, which must have this corrId and alias. */
export function command(said: Said | null, corrId: string, alias: string): string {
  assertEquals(said?.slice(0, 2), [corrId, alias], said?.[2]);
  return said![2];
}

/** Makes a connection of two clients: `a` calls `b` "bob", who calls `a` "alice", or as is said. */
export async function connectClients(a: Telnet, b: Telnet, [bob, alice] = ["bob", "alice"]): Promise<void> {
  const invitation = command(await a.ask("1", bob!, "NEW"), "1", bob!).slice(4);
  await b.send("1", alice!, `JOIN ${invitation}`);
  assertEquals(await a.said(), ["", bob!, "CON"]);
  assertEquals(await b.said(), ["", alice!, "CON"]);
}

/** The socket of a client that reads when a test says so. */
export class FakeSocket implements SessionSocket {
  readonly readable: ReadableStream<Uint8Array>;
  /** What was written and read. */
  text = "";
  /** What is being written while nothing is read. */
  pending = "";
  isHeld = false;
  isClosed = false;
  #input!: ReadableStreamDefaultController<Uint8Array>;
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null = null;

  constructor() {
    this.readable = new ReadableStream({ start: (controller) => void (this.#input = controller) });
  }

  /** The client types something. */
  type(text: string): void {
    this.#input.enqueue(textBytes(text));
  }

  /** Waits until the client has read something. */
  async reads(text: string | RegExp): Promise<void> {
    await until(() => typeof text === "string" ? this.text.includes(text) : text.test(this.text));
  }

  /** The client reads again. */
  release(): void {
    this.isHeld = false;
    this.#settle?.resolve();
  }

  async write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    if (this.isHeld) {
      this.pending = text;
      await new Promise<void>((resolve, reject) => this.#settle = { resolve, reject });
      this.pending = "";
    }
    this.text += text;
    return latin1Bytes(text).length;
  }

  closeWrite(): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#settle?.reject(new Error("closed"));
    this.end();
  }

  /** The client has gone. */
  end(): void {
    try {
      this.#input.close();
    } catch {
      // It has already.
    }
  }
}
