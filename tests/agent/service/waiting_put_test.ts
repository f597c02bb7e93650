import { assert, assertEquals, assertMatch } from "@std/assert";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Clock, systemClock } from "../../../agent/clock.ts";
import { LineReader } from "../../../agent/service/line_reader.ts";
import { FakeSocket, startService } from "../../support/agent_service.ts";
import { TestAgent } from "../../support/agent.ts";
import { readyPair } from "../../support/ready_pair.ts";
import { startServer } from "../../support/server.ts";
import { codeOf, nextOffer, sessions } from "../../support/streams.ts";
import { Telnet } from "../../support/telnet.ts";
import { soon, until } from "../../support/wait.ts";

const chunk = "x".repeat(65_536);

/** A client of the port that can end in every way. */
class Client {
  readonly #reader: LineReader;

  private constructor(readonly socket: Socket) {
    this.#reader = new LineReader(socket, 1 << 20);
    socket.on("error", () => {});
  }

  static async connect(port: number): Promise<Client> {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    await once(socket, "connect");
    const client = new Client(socket);
    await client.#line();
    return client;
  }

  #line(): Promise<string | null> {
    return soon(this.#reader.line());
  }

  /** Sends a command; does not wait until it is written. */
  send(command: string): void {
    this.socket.write(`1\r\nb\r\n${command}\r\n`);
  }

  /** The next command that is said, without its number and connection. */
  async said(): Promise<string | null> {
    await this.#line();
    await this.#line();
    return await this.#line();
  }
}

/** An agent that serves a port, and another one that it is connected to. */
async function connected(made: AsyncDisposableStack, options: Parameters<typeof startService>[1]) {
  const server = made.use(await startServer());
  const stores = await readyPair(server);
  assert(stores !== null);
  const { alice, bob } = stores;
  const agent = { ...sessions, store: alice };
  const service = made.use(await startService(server, { roomNotice: 20, ...options }, agent));
  const other = made.use(await TestAgent.start(server.address, { ...sessions, store: bob }));
  await other.agent.subscribeAll();
  const first = made.use(await Telnet.connect(service.port));
  assertEquals((await first.ask("1", "b", "SUB"))![2], "OK");
  await other.send("a", "ready");
  assertMatch((await first.said())![2], /^MSG/);
  return { service, other };
}

/** A client whose stream to another agent has no room, as that one takes nothing of it. */
async function stalled() {
  await using made = new AsyncDisposableStack();
  const { service, other } = await connected(made, {});
  const client = made.adopt(await Client.connect(service.port), ({ socket }) => void socket.destroy());
  client.send("EXT streams");
  assertEquals(await client.said(), "OK");
  client.send("SNEW -");
  const id = (await client.said())!.split(" ")[1]!;
  const offer = await nextOffer(other);
  const readable = offer.accept();
  assertEquals(await client.said(), `SREADY ${id} 65536`);
  const before = service.sessions;
  let put = 0;
  // More than the window, and more than the agent reads of a client that waits.
  while (put < 40) client.send(`SPUT ${id} ${++put} ${chunk.length}\n${chunk}`);
  assertEquals(await client.said(), `SWAIT ${id}`);
  const all = made.move();
  return {
    service,
    client,
    id,
    offer,
    readable,
    put,
    before,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

for (
  const [how, end] of [
    ["is reset", (socket) => socket.resetAndDestroy()],
    ["ends", (socket) => socket.destroy()],
  ] as const satisfies readonly (readonly [string, (socket: Socket) => void])[]
) {
  Deno.test(`a client whose connection ${how} while its SPUT waits has gone, and so has its stream`, async () => {
    await using waiting = await stalled();
    const { service, client, offer, before, readable } = waiting;
    end(client.socket);
    await until(() => service.sessions === before - 1);
    assertEquals(await codeOf(soon(offer.ended)), "CANCELLED");
    const error = await offer.ended.catch((error) => error);
    assertEquals(error.told, "The program that had the stream has gone");
    await readable.cancel().catch(() => {});
  });
}

Deno.test("a client that says nothing more is still there while its SPUT waits, and all it has put arrives", async () => {
  await using waiting = await stalled();
  const { service, client, id, offer, put, before, readable } = waiting;
  client.send(`SCLOSE ${id}`);
  client.socket.end();
  for (let i = 0; i < 3; i++) assertEquals(await client.said(), `SWAIT ${id}`);
  assertEquals(service.sessions, before);
  let length = 0;
  for await (const bytes of readable) length += bytes.length;
  assertEquals(length, put * chunk.length);
  await offer.ended;
});

Deno.test("an agent stops while a SPUT waits", async () => {
  const waiting = await stalled();
  const { service } = waiting;
  await soon(waiting[Symbol.asyncDispose]());
  assertEquals(service.sessions, 0);
});

Deno.test("a client that does not read what comes may put, and what it puts goes on when there is room", async () => {
  await using made = new AsyncDisposableStack();
  let noticed = 0;
  const clock: Clock = {
    ...systemClock,
    async wait(milliseconds, signal) {
      await systemClock.wait(milliseconds, signal);
      if (milliseconds === 20 && !signal?.aborted) noticed++;
    },
  };
  const { service, other } = await connected(made, { clock, writeTimeout: 100 });
  const client = new FakeSocket();
  const served = service.serve(client);
  const send = (command: string) => client.type(`1\r\nb\r\n${command}\r\n`);
  const said = async (pattern: RegExp) => {
    await until(() => pattern.test(client.text));
    return pattern.exec(client.text)![1]!;
  };
  send("EXT streams");
  send("SUB");
  send("SNEW -");
  const id = await said(/STREAM (\w+) -/);
  const offer = await nextOffer(other);
  const reader = offer.accept();
  await said(/(SREADY)/);
  const coming = await other.agent.offerStream("a", { name: "unread" });
  await said(new RegExp(`STREAM (${coming.id})`));
  send(`SJOIN ${coming.id}`);
  const writer = (await soon(coming.accepted)).getWriter();
  await said(new RegExp(`SREADY (${coming.id})`));
  client.isHeld = true;
  await writer.write(new Uint8Array(10));
  await until(() => client.pending.includes("SDATA"));
  const put = 40;
  for (let i = 1; i <= put; i++) send(`SPUT ${id} ${i} ${chunk.length}\n${chunk}`);
  send(`SCLOSE ${id}`);
  await until(() => noticed > 1 || client.isClosed);
  let length = 0;
  for await (const bytes of reader) length += bytes.length;
  assertEquals([length, client.isClosed, client.text.includes("SWAIT")], [put * chunk.length, false, false]);
  client.close();
  await soon(served);
  await codeOf(soon(coming.ended));
});
