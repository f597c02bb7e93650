import { assert, assertEquals } from "@std/assert";
import { formatQueueInfo } from "../../mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { soon } from "../support/wait.ts";

// The agent against tests/peers/agent.mjs, which was written from the specification alone, takes its cryptography from
// OpenSSL, and does what a 0.3 agent does, with keys whose exponents have up to 1024 bits.

const script = new URL("../peers/agent.mjs", import.meta.url).pathname;

interface Line {
  readonly invitation?: string;
  readonly received?: string;
  readonly done?: boolean;
  readonly failed?: string;
  readonly error?: string;
}

/** The independent agent in a process. */
class Peer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncIterator<Line>;

  constructor(role: string, server: SmpServer, invitation: string, options: object) {
    const args = [
      script,
      role,
      `127.0.0.1 ${server.port} ${server.keyHash}`,
      invitation,
      JSON.stringify(options),
    ];
    this.#process = new Deno.Command("node", { args, stdin: "null", stdout: "piped" }).spawn();
    this.#lines = readLines(this.#process.stdout);
  }

  /** The next line of which `isRight`. */
  async line(isRight: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const { value, done } = await soon(this.#lines.next());
      if (done) throw new Error("the peer has ended");
      if (value.failed !== undefined) throw new Error(`the peer has failed: ${value.error}`);
      if (isRight(value)) return value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#process.status;
    while (!(await this.#lines.next()).done);
  }
}

async function* readLines(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Line, void> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Three messages each way, all of them whole and in order. */
async function talk(agent: TestAgent, peer: Peer, { back = true, forth = true } = {}): Promise<void> {
  for (let i = 1; forth && i <= 3; i++) await agent.send("peer", `from the agent ${i}`);
  for (let i = 1; back && i <= 3; i++) {
    const { message } = await agent.next("message");
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [`from the peer ${i}`, {
      type: "OK",
    }]);
  }
  for (let i = 1; forth && i <= 3; i++) {
    const { received } = await peer.line((line) => line.received !== undefined);
    assertEquals(received, `from the agent ${i}`);
  }
  await peer.line((line) => line.done === true);
  assertEquals(agent.events.filter(({ type }) => type === "error"), []);
}

for (const key of ["rsa2048", "rsa2048BigExponent", "rsa3072", "rsa4096"]) {
  for (const servers of ["one server", "two servers"]) {
    Deno.test(`an independent agent with keys ${key} joins over ${servers}, and talks`, async () => {
      await using ours = await startServer();
      await using theirs = await startServer();
      await using agent = await TestAgent.start(ours.address);
      const { invitation } = await agent.agent.create("peer");
      const server = servers === "one server" ? ours : theirs;
      await using peer = new Peer("joiner", server, formatQueueInfo(invitation), { key });
      await agent.next("connected");
      await talk(agent, peer);
    });

    Deno.test(`our agent joins an independent one with keys ${key} over ${servers}, and talks`, async () => {
      await using ours = await startServer();
      await using theirs = await startServer();
      await using agent = await TestAgent.start(ours.address);
      const server = servers === "one server" ? ours : theirs;
      await using peer = new Peer("initiator", server, "", { key });
      const { invitation } = await peer.line((line) => line.invitation !== undefined);
      await agent.agent.join(invitation!, { alias: "peer" });
      await agent.next("connected");
      await talk(agent, peer);
    });
  }
}

for (const key of ["rsa2048", "rsa2048BigExponent"]) {
  Deno.test(`an independent agent with keys ${key} makes a connection of one direction, either way`, async () => {
    await using server = await startServer();
    await using agent = await TestAgent.start(server.address);
    const { invitation } = await agent.agent.create("peer");
    await using joiner = new Peer("joiner", server, formatQueueInfo(invitation), { key, noReply: true });
    await talk(agent, joiner, { forth: false });
    await agent.agent.delete("peer");
    await using initiator = new Peer("initiator", server, "", { key, noReply: true });
    const { invitation: theirs } = await initiator.line((line) => line.invitation !== undefined);
    await agent.agent.join(theirs!, { alias: "peer", reply: false });
    await agent.next("connected");
    await talk(agent, initiator, { back: false });
    assert(agent.agent.connections()[0]!.connected);
  });
}
