import { assert, assertEquals } from "@std/assert";
import { blockSizes, serverExtensions } from "../../protocol/mod.ts";
import { generateKeyPair, type KeyPair, type QueueEvent, type RecipientQueue } from "../../mod.ts";
import { installMlKem } from "../support/independent_ml_kem.ts";
import { type PeerLine, PeerServer } from "../support/node_peer.ts";
import { type Listening, PeerClients } from "../support/peer_clients.ts";
import { startServer } from "../support/server.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { next } from "../support/wait.ts";

// The server extensions against tests/peers/extension_client.mjs and tests/peers/server.mjs: both were written from the
// specification alone, and take their cryptography from OpenSSL and ML-KEM-768 from @noble/post-quantum.

const keyPair = await generateKeyPair("sign", 1024);
const senderPair = await generateKeyPair("sign", 1024);

/** REKEY must come within it: as long as it takes on a busy machine. */
const limits = { handshakeTimeout: 600_000 };

/** Runs scenarios of a client of tests/peers, each of which checks every answer itself. */
async function runClient(
  script: "client.mjs" | "extension_client.mjs",
  server: Listening,
  scenarios: string,
  options: PeerLine = {},
): Promise<void> {
  await clients[script]!.run(server, scenarios, { senderKey: "rsa1024", ...options });
}

const clients: { [script: string]: PeerClients } = {};

/** What peers load ML-KEM from: a URL. */
let mlKem = "";
let packages: Awaited<ReturnType<typeof temporaryFolder>> | undefined;

Deno.test.beforeAll(async () => {
  packages = await temporaryFolder();
  mlKem = await installMlKem(packages.path);
  for (const script of ["client.mjs", "extension_client.mjs"] as const) {
    clients[script] = new PeerClients(script);
  }
});

Deno.test.afterAll(async () => {
  for (const client of Object.values(clients)) await client[Symbol.asyncDispose]();
  await packages?.[Symbol.asyncDispose]();
});

const unsignedScenarios = ["open", "refusedOpen", "replayedOpen"];
const windowScenarios = ["window", "windowRedelivery", "fullWindow", "syntax"];
const rekeyScenarios = ["rekey", "oldKeys", "refusedRekey"];
const lifeScenarios = "handshake,life,takeover,redelivery,suspended,deleted,tampered,bodies,errors";

for (const webSocket of [false, true]) {
  const over = webSocket ? " over a WebSocket" : "";
  Deno.test(
    `an independent client${over} is content with open1 and window1, with REKEY and without`,
    async () => {
      await using server = await startServer({ limits: { ...limits, messagesPerQueue: 200 } });
      const scenarios = [...unsignedScenarios, ...windowScenarios].join();
      await runClient("extension_client.mjs", server, scenarios, { webSocket });
      await runClient("extension_client.mjs", server, scenarios, { webSocket, mlKem });
      assertEquals(server.metrics.internalErrors, 0);
    },
  );

  Deno.test(`an independent client${over} is content with rekey1`, async () => {
    await using server = await startServer({ limits });
    await runClient("extension_client.mjs", server, rekeyScenarios.join(), { webSocket, mlKem });
    assertEquals(server.metrics.internalErrors, 0);
  });

  Deno.test(`an independent client${over} does all of 0.3 in sessions with new keys`, async () => {
    await using server = await startServer({ limits: { ...limits, messagesPerQueue: 200 } });
    await runClient("client.mjs", server, lifeScenarios, { webSocket, mlKem });
  });

  Deno.test(`an independent client${over} fills blocks of every size, with REKEY`, async () => {
    await using server = await startServer({ limits });
    for (const blockSize of blockSizes) {
      await runClient("extension_client.mjs", server, "blocks", { webSocket, mlKem, blockSize });
    }
  });

  Deno.test(`an independent client${over} gets CMD SYNTAX for every extension where all are off`, async () => {
    await using server = await startServer({ limits, extensions: [] });
    await runClient("extension_client.mjs", server, "unlisted", { webSocket });
  });
}

for (const extension of serverExtensions) {
  Deno.test(
    `an independent client uses ${extension} where it is the only one that is on`,
    async () => {
      await using server = await startServer({ limits, extensions: [extension] });
      const scenarios = {
        open1: unsignedScenarios.join(),
        window1: "window,windowRedelivery,syntax",
        blocks1: null,
        rekey1: "oldKeys,refusedRekey",
      }[extension];
      const options = extension === "rekey1" ? { mlKem } : {};
      if (scenarios !== null) await runClient("extension_client.mjs", server, scenarios, options);
      await runClient("client.mjs", server, "life,takeover,redelivery", options);
    },
  );
}

function told(event: QueueEvent): string {
  return event.type === "MSG" ? new TextDecoder().decode(event.body) : event.type;
}

/** The names of the commands that the server has got up to now, those with signatures marked with a star. */
async function commandsUntilPing(server: PeerServer): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const { name, signed } = await server.line("name");
    if (name === "PING") return seen;
    seen.push(signed === true ? `${name}*` : String(name));
  }
}

async function secured(
  client: Awaited<ReturnType<PeerServer["connect"]>>,
  { publicKey }: KeyPair<"sign">,
): Promise<RecipientQueue> {
  const queue = await client.createQueue({ keyPair });
  await client.secureQueue(queue, publicKey);
  return queue;
}

Deno.test(
  "the client uses what an independent server lists: REKEY, OPEN, windows and ACKM",
  async () => {
    await using server = await PeerServer.start({ extensions: serverExtensions, mlKem });
    await using client = await server.connect({ forwardSecrecy: "required" });
    await server.line("event", "rekeyed");
    assertEquals(client.extensions, serverExtensions);
    assert(client.isForwardSecret);
    const queue = await secured(client, senderPair);
    const target = { senderId: queue.senderId, senderKey: senderPair.privateKey };
    const texts = Array.from({ length: 40 }, (_, index) => `message ${index}`);
    await client.subscribe(queue, { window: 8 });
    const events = client.events(queue);
    for (const text of texts) await client.send(target, new TextEncoder().encode(text));
    const received: string[] = [];
    while (received.length < texts.length) {
      const event = await next(events);
      received.push(told(event));
      assert(event.type === "MSG");
      // Every third one: with those before it.
      if (received.length % 3 === 0) await client.acknowledge(queue, event.messageId);
    }
    assertEquals(received, texts);
    await client.ping();
    const commands = await commandsUntilPing(server);
    // The first on each queue ID, OPEN and what went out before its answer have signatures.
    const signed = commands.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
    assertEquals(signed.filter((name) => name === "OPEN").length, 2);
    assertEquals(signed.filter((name) => name === "SEND").length, 2);
    assert(commands.filter((name) => name === "SEND").length === 38, commands.join());
    assert(!signed.includes("ACKM"), commands.join());
    assertEquals(commands.filter((name) => name === "ACKM").length, 13);
  },
);

for (const extension of serverExtensions) {
  Deno.test(
    `the client works with an independent server that lists ${extension} alone`,
    async () => {
      await using server = await PeerServer.start({ extensions: [extension], mlKem });
      await using client = await server.connect({ blockSize: "large", allowUnverified: false });
      assertEquals(client.isForwardSecret, extension === "rekey1");
      const queue = await secured(client, senderPair);
      const target = { senderId: queue.senderId, senderKey: senderPair.privateKey };
      await client.subscribe(queue);
      const events = client.events(queue);
      for (const text of ["one", "two", "three"]) {
        await client.send(target, new TextEncoder().encode(text));
        const event = await next(events);
        assertEquals(told(event), text);
        assert(event.type === "MSG");
        await client.acknowledge(queue, event.messageId);
      }
    },
  );
}

Deno.test("the client asks an independent server that lists blocks1 for large blocks", async () => {
  await using server = await PeerServer.start({ extensions: serverExtensions, mlKem });
  await using client = await server.connect({ blockSize: "large" });
  await client.ping();
  assertEquals((await server.line("event", "welcomed")).blockSize, 4096);
  assertEquals((await server.line("event", "welcomed")).blockSize, 65536);
  await server.line("name", "PING");
});

Deno.test(
  "the independent client and server agree with each other about the extensions",
  async () => {
    await using server = await PeerServer.start({ extensions: serverExtensions, mlKem });
    const scenarios = [...unsignedScenarios, ...windowScenarios].join();
    await runClient("extension_client.mjs", server, scenarios);
    await runClient("extension_client.mjs", server, [scenarios, ...rekeyScenarios].join(), { mlKem });
    await runClient("extension_client.mjs", server, "blocks", { mlKem, blockSize: 65536 });
    await using plain = await PeerServer.start();
    await runClient("extension_client.mjs", plain, "unlisted");
  },
);
