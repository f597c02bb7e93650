import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { AgentError, type AgentEvent, type MessageIntegrity, type MessageRecord } from "../../agent/mod.ts";
import { makeCertificate } from "../../examples/web-chat/certificate.ts";
import { helpText, parseOptions } from "../../examples/web-chat/options.ts";
import {
  afterEvent,
  type Conversation,
  conversationOf,
  deliveryText,
  errorText,
  integrityText,
  messageOf,
  phaseText,
} from "../../examples/web-chat/page/conversation.ts";
import { factsOf } from "../../examples/web-chat/page/information_view.ts";
import { findInvitation, linkOf, problemOf, warningFor } from "../../examples/web-chat/page/invitation.ts";
import { withUnread } from "../../examples/web-chat/page/read_marks.ts";
import { find } from "../../examples/web-chat/page/search.ts";
import { startOf, withFewMarks } from "../../examples/web-chat/page/shown_text.ts";
import { LostServers, serverAfter, serverText } from "../../examples/web-chat/page/server_state.ts";
import {
  chosenServers,
  restoreServers,
  serversIn,
  storedServers,
  urlsOf,
} from "../../examples/web-chat/page/servers.ts";
import { certificateFor, endNotice, tellEnd } from "../../examples/web-chat/tls.ts";
import { encodeBase64, formatQueueInfo, generateKeyPair } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { SmpClient } from "../../client/mod.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { expired } from "../support/tls.ts";
import { soon } from "../support/wait.ts";
import { freePorts, WebChat } from "../support/web_chat.ts";

const pure = { permissions: "none" } as const;

const bob: Conversation = {
  id: "a",
  name: "Bob",
  phase: "connecting",
  canSend: false,
  unread: 0,
  newest: 0,
  notice: null,
  verified: false,
};
const info = {
  id: "a",
  connection: "Bob",
  connected: false,
  canSend: false,
  failed: false,
  canReceive: true,
  suspended: false,
  unreadable: 0,
  createdAt: 0,
  session: null,
};

Deno.test("a conversation is what the agent says of its connection", pure, () => {
  assertEquals(conversationOf(info, true), { ...bob, phase: "invited" });
  assertEquals(conversationOf(info, false), bob);
  const connected = conversationOf({ ...info, connected: true, canSend: true, unreadable: 1 }, false);
  assertEquals([connected.phase, connected.canSend], ["connected", true]);
  assertStringIncludes(connected.notice!, "could not be read");
  const servers = { receiving: [{ host: "a.example", port: 443 }], sending: [{ host: "b.example" }] };
  const session = { active: true, closed: false, since: 1, verified: true, servers };
  const verified = conversationOf({ ...info, connected: true, canSend: true, session }, false);
  assertStringIncludes(phaseText(verified), "verified");
  const facts = new Map(factsOf({ ...info, session }));
  assertEquals(facts.get("Messages come through"), "a.example:443");
  assertEquals(facts.get("Messages go through"), "b.example");
  assertStringIncludes(facts.get("Secrecy")!, "forward secret since");
  assertStringIncludes(new Map(factsOf(info)).get("Secrecy")!, "without forward secrecy");
  const closed = conversationOf({
    ...info,
    connected: true,
    canSend: true,
    session: { ...session, closed: true },
  }, false);
  assertEquals(closed.canSend, false);
  assertStringIncludes(closed.notice!, "has deleted this conversation");
  const failed = conversationOf({ ...info, failed: true }, false);
  assertEquals([failed.phase, failed.canSend], ["failed", false]);
  assertStringIncludes(failed.notice!, "was used before");
  const texts = (["invited", "connecting", "connected", "failed"] as const).map((phase) =>
    phaseText({ ...bob, phase })
  );
  assertEquals(new Set(texts).size, 4);
});

Deno.test("events change a conversation, and count what nobody has seen", pure, () => {
  const message = (id: number): AgentEvent => ({
    type: "message",
    connection: "Bob",
    message: {
      id,
      receivedAt: new Date(),
      body: textBytes("x"),
      integrity: { type: "OK" },
      server: { id: "", at: new Date() },
      sender: { id: 1, at: new Date() },
    },
  });
  assertEquals(afterEvent(bob, message(1), true), { ...bob, newest: 1 });
  assertEquals(afterEvent({ ...bob, phase: "invited" }, message(1), true).phase, "connecting");
  const first = afterEvent(bob, message(1), false);
  assertEquals([first.unread, afterEvent(first, message(2), false).unread], [1, 2]);
  // One that is told again.
  assertEquals(afterEvent(first, message(1), false), first);
  const connected = afterEvent(bob, { type: "connected", connection: "Bob" }, true);
  assertEquals(connected, { ...bob, phase: "connected", canSend: true });
  const failed = new AgentError("SMP AUTH", "x");
  const failure = { type: "error", connection: "Bob", error: failed } as const;
  // That one message was not sent is said at the message.
  assertEquals(afterEvent(bob, { ...failure, id: 1 }, true), bob);
  assertStringIncludes(afterEvent({ ...bob, phase: "failed" }, failure, true).notice!, "was used before");
  const unreachable = { ...failure, error: new AgentError("BROKER NETWORK", "x") };
  assertEquals(afterEvent(bob, unreachable, true), bob);
  assertEquals(afterEvent(connected, failure, true).notice, errorText(failed));
  assertEquals(
    afterEvent(connected, { type: "session", connection: "Bob", change: "active" }, true),
    connected,
  );
  const moved = { type: "route", connection: "Bob", direction: "sending", change: "moved" } as const;
  const servers = { from: "a.example#x", to: "b.example#y" };
  assertEquals(
    afterEvent(bob, { ...moved, ...servers }, true).notice,
    "What you send goes through b.example now.",
  );
  assertEquals(afterEvent(bob, { ...moved, ...servers, to: servers.from }, true), bob);
  const closed = afterEvent(connected, { type: "session", connection: "Bob", change: "closed" }, true);
  assertStringIncludes(closed.notice!, "has deleted this conversation");
  const second = { type: "security", connection: "Bob", reason: "second confirmation" } as const;
  assertStringIncludes(afterEvent(bob, second, true).notice!, "was refused");
  assertStringIncludes(afterEvent(bob, { type: "end", connection: "Bob" }, true).notice!, "Another program");
});

Deno.test(
  "a server that was lost is back when the agent says so, not when it tells what came before",
  pure,
  () => {
    const server = { host: "chat.example.org" };
    const [down, up] = (["down", "up"] as const).map((type) => ({ type, server, connections: ["Bob"] }));
    const earlier: AgentEvent[] = [
      { type: "sent", connection: "Bob", id: 1 },
      { type: "connected", connection: "Bob" },
      { type: "end", connection: "Bob" },
      { type: "security", connection: "Bob", reason: "second confirmation" },
    ];
    const lost = serverAfter("reached", down!);
    assertEquals([lost, serverAfter(lost, up!)], ["lost", "reached"]);
    for (const event of earlier) {
      assertEquals([serverAfter(null, event), serverAfter(lost, event)], [
        "reached",
        lost,
      ]);
    }
    const failure = { type: "error", connection: "Bob", error: new AgentError("SMP AUTH", "x") } as const;
    for (const state of [null, "reached", "lost"] as const) assertEquals(serverAfter(state, failure), state);
    const unreachable = { ...failure, error: new AgentError("BROKER NETWORK", "x") };
    assertEquals(serverAfter(null, unreachable), "lost");
  },
);

Deno.test("a server that is lost is said before others that are back", pure, () => {
  const servers = new LostServers();
  const [a, b] = [{ host: "a.example" }, { host: "b.example", port: 443 }];
  const lost = (server: typeof a, connections: string[]) => ({ type: "down", server, connections }) as const;
  assertEquals(servers.take("reached", lost(a, ["Bob"])), "lost");
  assertEquals(serverText("lost", servers.hosts, "a.example"), "no connection to the server, trying again…");
  servers.take("lost", lost(b, ["Carol", "Dave"]));
  assertEquals(servers.take("lost", { type: "up", server: a, connections: ["Bob"] }), "lost");
  assertEquals(serverText("lost", servers.hosts, "a.example"), "no connection to b.example, trying again…");
  servers.forget("Carol");
  assertEquals(servers.hosts, ["b.example"]);
  servers.forget("Dave");
  assertEquals(servers.take("lost", { type: "up", server: a, connections: [] }), "reached");
});

Deno.test(
  "servers of a text are known by their keys, and WebSockets are looked for where they may be",
  pure,
  () => {
    const key = `#${"A".repeat(43)}=`;
    assertEquals(serversIn(` a.example:443${key}\n\na.example:443${key}\nb.example${key} `), {
      servers: [`a.example:443${key}`, `b.example${key}`],
      passwords: new Map(),
    });
    const withPassword = serversIn(`pass@word@a.example:443${key}`);
    assertEquals(withPassword, {
      servers: [`a.example:443${key}`],
      passwords: new Map([[`a.example:443${key}`, "pass@word"]]),
    });
    for (
      const [text, problem] of [
        [" \n", "at least one"],
        ["secret@a.example:443", "a.example:443: the key hash behind # is missing"],
        [`a.example:x${key}`, 'port "x" is not a number'],
        [Array.from({ length: 17 }, (_, i) => `s${i}.example${key}`).join("\n"), "There may be 16"],
      ] as const
    ) {
      const found = serversIn(text);
      assertStringIncludes("problem" in found ? found.problem : "none", problem);
      assert(!("problem" in found && found.problem.includes("secret")));
    }
    assertEquals(urlsOf({ host: "a", port: 5223 }, true), ["wss://a:5223/", "wss://a/"]);
    assertEquals(urlsOf({ host: "a", port: 443 }, true), ["wss://a/"]);
    assertEquals(urlsOf({ host: "a", port: 5280 }, false), ["ws://a:5280/", "wss://a:5280/", "wss://a/"]);
    for (const host of ["[::1]", "192.0.2.7", "a-b.example"]) {
      assertEquals(urlsOf({ host }, true), [`wss://${host}/`]);
    }
    // An address has more characters than a URL may have there.
    for (const host of ["a/b", "me@a", "a?b", "a\\b", "%61"]) {
      assertEquals(urlsOf({ host, port: 443 }, false), []);
    }
  },
);

Deno.test(
  "of the servers in a backup those are taken that an agent can use, and no more than may be chosen",
  pure,
  () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
    const stored = new Map<string, string>();
    const localStorage = {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => void stored.set(key, value),
    };
    Object.defineProperty(globalThis, "localStorage", { value: localStorage, configurable: true });
    try {
      const key = `#${"A".repeat(43)}=`, good = [`a.example${key}`, `b.example:443${key}`];
      const config = { server: `own${key}`, webSocketUrl: "", anyServer: true, sessions: true };
      const unusable = ["a.example", `${"a".repeat(1_000_000)}${key}`];
      restoreServers(unusable);
      assertEquals([storedServers(), chosenServers(config)], [[], [config.server]]);
      restoreServers([...unusable, ...good]);
      assertEquals(chosenServers(config), good);
      restoreServers(Array.from({ length: 64 }, (_, i) => `s${i}.example${key}`));
      assertEquals(storedServers().length, 16);
    } finally {
      if (before === undefined) Reflect.deleteProperty(globalThis, "localStorage");
      else Object.defineProperty(globalThis, "localStorage", before);
    }
  },
);

Deno.test("a stored message is queued, sent, or never will be", pure, () => {
  const kept = { connection: "a", id: 7, body: textBytes("hi"), at: 5, done: false, received: null };
  const record = { ...kept, number: null, delivered: false };
  const shown = { id: 7, at: 5, text: "hi", from: "me" } as const;
  assertEquals(messageOf(record, new Set([7])), { ...shown, delivery: { type: "queued" } });
  assertEquals(messageOf({ ...record, done: true }, new Set()), { ...shown, delivery: { type: "sent" } });
  const delivered = messageOf({ ...record, done: true, delivered: true }, new Set());
  assertEquals(delivered, { ...shown, delivery: { type: "delivered" } });
  const texts = ([{ type: "sent" }, { type: "delivered" }] as const).map(deliveryText);
  assertEquals(texts, ["✓ sent", "✓✓ delivered"]);
  const lost = messageOf(record, new Set());
  assertStringIncludes(lost.from === "me" ? deliveryText(lost.delivery) : "", "not sent: ");
  // Bytes of another program need not be a text.
  assertEquals(messageOf({ ...record, body: Uint8Array.of(0xff) }, new Set()).text, "\ufffd");
});

Deno.test("a message that is not whole or in order has a warning", pure, () => {
  const warnings: [MessageIntegrity, string][] = [
    [{ type: "NO_ID", from: 3, to: 3 }, "A message before this one is missing."],
    [{ type: "NO_ID", from: 3, to: 5 }, "3 messages before this one are missing."],
    [{ type: "ID", id: 1 }, "This message is older than the one before: the order was changed."],
    [{ type: "HASH" }, "A message before this one was changed."],
    [{ type: "DUPLICATE" }, "Two different messages came in the same place."],
  ];
  for (const [integrity, text] of warnings) assertEquals(integrityText(integrity), text);
  assertEquals(integrityText({ type: "OK" }), null);
});

Deno.test("an invitation is found in links and texts, and what is wrong with it is told", async () => {
  const keyHash = encodeBase64(new Uint8Array(32).fill(255));
  const { publicKey } = await generateKeyPair("decrypt");
  const server = { host: "chat.example.org", port: 443, keyHash };
  const invitation = formatQueueInfo({ server, senderId: "c2lk", encryptionKey: publicKey });
  const link = linkOf("https://chat.example.org/", invitation);
  assertEquals(link.split("#").length, 2);
  assertEquals(URL.parse(link)?.href, link);
  for (const text of [invitation, link, ` Join me: ${link}\nAlice`]) {
    assertEquals(findInvitation(text), invitation);
  }
  assertEquals(findInvitation("https://chat.example.org/#"), null);
  assertEquals(problemOf(invitation, keyHash), null);
  assertStringIncludes(problemOf(null, keyHash)!, "no invitation");
  assertStringIncludes(problemOf(invitation.slice(0, -30), keyHash)!, "not whole");
  assertStringIncludes(problemOf(invitation, "other")!, "for the server chat.example.org");
  assertEquals(problemOf(invitation, null), null);
  assertStringIncludes(problemOf(invitation.replace(/#[^:]+/, ""), null)!, "does not say which key");
});

Deno.test(
  "a search looks through the pages of a conversation until nobody waits for it any more",
  pure,
  async () => {
    const kept = { connection: "a", at: 5, done: true, received: null, number: null, delivered: true };
    const records = Array.from({ length: 1_200 }, (_, i) => {
      return { ...kept, id: i + 1, body: textBytes(i % 400 === 0 ? `\u00c4pfel ${i}` : `${i}`) };
    });
    let reads = 0;
    const agent = {
      messages: (_: string, { before = Infinity, limit = 100 }: { before?: number; limit?: number } = {}) => {
        reads++;
        // Each can have a MiB.
        assert(limit <= 100, `${limit}`);
        return Promise.resolve(records.filter(({ id }) => id < before).slice(-limit));
      },
    };
    const { signal } = new AbortController();
    const files = [["Apfel.png", 0], ["\u00c4PFEL.png", 401], ["Wein \u00e4pfeln.txt", 401]].map((
      [name, after],
      i,
    ) => ({ key: `${i}`, name: `${name}`, after: Number(after) }));
    // As one letter, and as a letter and its dots.
    for (const text of ["\u00e4pf", "A\u0308PF"]) {
      assertEquals(
        (await find(agent, "a", { text, files, signal })).map(({ number, file }) => file ?? number),
        [801, "2", "1", 401, 1],
      );
    }
    // More marks than any letter has would take a square of their number to be compared.
    const many = {
      text: `x${"\u0323".repeat(50)}`,
      files: [{ key: "m", name: `x${"\u0323".repeat(40)}`, after: 0 }],
    };
    assertEquals(await find(agent, "a", { ...many, signal }), [{ number: 0, file: "m" }]);
    assertEquals((await find(agent, "a", { text: "", files, signal })).length, 1_000);
    reads = 0;
    await assertRejects(
      () => find(agent, "a", { text: "x", files, signal: AbortSignal.abort(new Error("over")) }),
      Error,
      "over",
    );
    assertEquals(reads, 1);
  },
);

Deno.test("messages that nobody has seen are counted, of many large ones not all", pure, async () => {
  const conversation = { id: "counted", name: "a", unread: 0, newest: 0 } as Conversation;
  let reads = 0;
  const of = (length: number) => ({
    messages: (_: string, { before = 301, limit = 100 }: { before?: number; limit?: number } = {}) => {
      reads++;
      const first = Math.max(1, before - limit), body = new Uint8Array(length);
      const record = (id: number) => ({ id, body, received: id % 2 === 0 ? {} : null }) as MessageRecord;
      return Promise.resolve(Array.from({ length: before - first }, (_, i) => record(first + i)));
    },
  });
  const stored = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Object.defineProperty(globalThis, "localStorage", { value: { getItem: () => "100" }, configurable: true });
  try {
    assertEquals(await withUnread(conversation, of(1)), { ...conversation, newest: 300, unread: 100 });
    reads = 0;
    const { unread } = await withUnread(conversation, of(1_048_576));
    assert(unread > 10 && unread < 100 && reads < 5, `${unread} ${reads}`);
  } finally {
    if (stored === undefined) Reflect.deleteProperty(globalThis, "localStorage");
    else Object.defineProperty(globalThis, "localStorage", stored);
  }
});

Deno.test(
  "what a browser lays out or compares of a text has as many marks on a letter as languages know",
  pure,
  () => {
    const marks = "\u0301\uff9e".repeat(200);
    assertEquals(withFewMarks(`a${marks}b${marks}`), `a${marks.slice(0, 30)}b${marks.slice(0, 30)}`);
    const few = `e\u0301 \u0e01\u0e34\u0e49${marks.slice(0, 28)}`;
    assertEquals(withFewMarks(few), few);
    // No half of a character.
    assertEquals(startOf("ab\u{1f600}", 3), "ab");
    assertEquals(startOf("\u{1f600}".repeat(3_000)), "\u{1f600}".repeat(2_000));
  },
);

Deno.test("the command line is read, and what is wrong with it is told", pure, () => {
  const options = {
    host: "127.0.0.1",
    tls: false,
    port: 8080,
    webSocketPort: 5280,
    smpPort: 0,
    webSocketUrl: null,
    directory: "data/web-chat",
    sessions: true,
    anyServer: true,
  };
  assertEquals(parseOptions([]), { type: "serve", options });
  const args =
    "--host localhost --port 0 --ws-port 1 --smp-port 2 --ws-url wss://a.example/smp --dir d --no-sessions --one-server"
      .split(" ");
  assertEquals(parseOptions(args), {
    type: "serve",
    options: {
      host: "localhost",
      tls: false,
      port: 0,
      webSocketPort: 1,
      smpPort: 2,
      webSocketUrl: "wss://a.example/smp",
      directory: "d",
      sessions: false,
      anyServer: false,
    },
  });
  assertEquals(parseOptions(["--tls"]), {
    type: "serve",
    options: { ...options, host: "0.0.0.0", tls: true, port: 8443 },
  });
  for (const word of ["--help", "-h", "help"]) assertEquals(parseOptions([word]), { type: "help" });
  for (
    const [line, message] of [
      ["--what", "unknown option --what"],
      ["serve", "unknown argument serve"],
      ["--port 70000", "--port 70000 is not a number from 0 to 65535"],
      ["--ws-port=-1", "--ws-port -1 is not a number from 0 to 65535"],
      ["--port 1 --port 2", "--port is given more than once"],
      ["--host=", "--host needs a value"],
      ["--host ::1", "--host ::1 is not a name or an IPv4 address"],
      ["--host 0.0.0.0", "--host 0.0.0.0 needs --ws-url or --tls"],
      ["--tls --ws-port 1", "--ws-port and --tls exclude each other"],
      ["--ws-url https://a.example", "--ws-url https://a.example is not like wss://chat.example.org/smp"],
      ["--ws-url wss://a.example/;script-src", "is not like"],
    ] as const
  ) {
    const command = parseOptions(line.split(" "));
    assertStringIncludes(command.type === "error" ? command.message : "no error", message);
  }
});

Deno.test("the docs have every option of the chat, with its default", async () => {
  const docs = await Deno.readTextFile(new URL("../../docs/web-chat.md", import.meta.url));
  const options = [...helpText.matchAll(/^ {2}(--\S+ [A-Z]+) .*?(?:\(([^)]*)\))?$/gm)];
  assertEquals(options.length, 6);
  for (const [, option, value] of options) {
    const row = docs.split("\n").find((line) => line.startsWith(`| \`${option}\``)) ?? "";
    assertStringIncludes(row, value ?? "`ws://` to it");
  }
});

Deno.test("the chat prints the address that other programs need", async () => {
  await using chat = await WebChat.start();
  await using client = await SmpClient.connect({ host: "127.0.0.1", ...chat.smp });
  await client.ping();
});

Deno.test("the page may load and run nothing but what its server has, and nobody may frame it", async () => {
  await using chat = await WebChat.start([...freePorts, "--one-server"]);
  const answers = await Promise.all(
    ["", "style.css", "icon.svg", "app.webmanifest", "page.js", "service_worker.js", "config.json"].map(
      async (path) => {
        const response = await fetch(chat.url + path);
        return {
          path,
          policy: response.headers.get("content-security-policy")!,
          text: await response.text(),
        };
      },
    ),
  );
  for (const { path, policy, text } of answers) {
    assertEquals(policy.split("; ").slice(0, 5), [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' blob:",
      `connect-src 'self' ${chat.webSocketUrl}`,
    ]);
    assertStringIncludes(policy, "frame-ancestors 'none'");
    // Names of XML are no addresses.
    const urls =
      text.replaceAll(/http:\/\/www\.w3\.org\/[\w/]+/g, "").match(/\b(https?|wss?):\/\/[\w.-]+/g) ?? [];
    assert(path === "config.json" || urls.length === 0, `${path} names ${urls}`);
  }
  // The port for WebSockets has the page, too.
  for (const url of [chat.url, chat.webSocketUrl.replace("ws:", "http:")]) {
    for (const path of ["server_key", "page.js?v=another", "/"]) {
      const missing = await fetch(url + path);
      assertEquals([missing.status, await missing.text()], [404, "not found\n"]);
    }
  }
  const post = await fetch(chat.url, { method: "POST", body: "x" });
  assertEquals([post.status, await post.text()], [405, "only GET and HEAD\n"]);
});

const limiting = requiring(lackOf("prlimit", "--version"));

limiting(
  "whoever takes all descriptors ends nothing, and all ports take connections when there are some",
  async () => {
    const most = 64;
    await using chat = await WebChat.start(freePorts, { wrapper: ["prlimit", `--nofile=${most}:${most}`] });
    const ports = [new URL(chat.url).port, `${chat.listeningPort}`];
    const held: Deno.TcpConn[] = [];
    for (const port of ports) {
      for (let i = 0; i < most; i++) {
        held.push(await Deno.connect({ hostname: "127.0.0.1", port: Number(port) }));
      }
    }
    for (const connection of held) connection.close();
    for (const port of ports) {
      const response = await soon(fetch(`http://127.0.0.1:${port}/`));
      assertStringIncludes(await response.text(), "<!doctype html>");
    }
    await using client = await SmpClient.connect({ host: "127.0.0.1", ...chat.smp });
    await client.ping();
  },
);

Deno.test("an error that nothing catches is told, and does not end the chat", async () => {
  const preload = new URL("../support/later_errors.ts", import.meta.url).pathname;
  await using chat = await WebChat.start(freePorts, { preload });
  await using client = await SmpClient.connect({ host: "127.0.0.1", ...chat.smp });
  await client.ping();
  const { code, stderr } = await chat.end("SIGTERM");
  assertEquals(code, 0);
  for (const what of ["in a timer", "of a promise"]) {
    assertStringIncludes(stderr, `the chat goes on: Error: ${what}`);
  }
});

Deno.test("the chat says which address it cannot have, and what to do", async () => {
  await using chat = await WebChat.start();
  const { port } = new URL(chat.url);
  for (
    const [options, text] of [
      [["--port", port, "--ws-port", "0"], `Cannot listen on 127.0.0.1:${port}`],
      [["--port", "0", "--ws-port", port], "Choose other ports with --port and --ws-port"],
      [["--port", "0", "--ws-port", "0", "--host", "127.0.0.2"], "docs/web-chat.md has the command for more"],
    ] as const
  ) {
    const error = await assertRejects(() => WebChat.start(options), Error);
    assertStringIncludes(error.message, text);
  }
});

Deno.test("the chat says that it stops, and that it has stopped", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await using chat = await WebChat.start();
    assertEquals(await chat.end(signal), { code: 0, stdout: "stopping\nstopped\n", stderr: "" });
  }
  // Ctrl-C comes twice at once through npx. On a busy machine the second one may be late, and ends what is left.
  const codes: number[] = [];
  while (codes.at(-1) !== 0 && codes.length < 5) {
    await using chat = await WebChat.start();
    await chat.interrupt();
    const { code, stdout, stderr } = await chat.end("SIGINT");
    assertEquals({ stdout, stderr }, { stdout: "stopped\n", stderr: "" });
    codes.push(code);
  }
  assertEquals(codes.at(-1), 0);
});

Deno.test("with --tls all is on one port, with a certificate that stays and whose authority can be trusted", async () => {
  const options = ["--tls", "--host", "127.0.0.1", "--port", "0"];
  await using chat = await WebChat.start(options);
  const { origin, port } = new URL(chat.url);
  assertEquals([origin, chat.webSocketUrl], [`https://127.0.0.1:${port}`, `wss://127.0.0.1:${port}/`]);
  await assertRejects(() => fetch(chat.url), TypeError);
  const files = [...Deno.readDirSync(`${chat.folder}/tls`)].map(({ name }) => name).sort();
  assertEquals(files, ["authority.pem", "certificate.pem", "key.pem"]);
  const authority = await Deno.readTextFile(`${chat.folder}/tls/authority.pem`);
  using client = Deno.createHttpClient({ caCerts: [authority] });
  const page = await fetch(chat.url, { client });
  assertStringIncludes(await page.text(), "<!doctype html>");
  assertStringIncludes(page.headers.get("content-security-policy")!, "connect-src 'self' wss:;");
  const served = await fetch(`${chat.url}authority.crt`, { client });
  assertEquals([served.headers.get("content-type"), await served.text()], [
    "application/x-x509-ca-cert",
    authority,
  ]);
});

Deno.test(
  "the person is told where an invitation leads, unless it is a server that is used already",
  pure,
  () => {
    const [a, b, c] = ["A", "B", "C"].map((letter) => `${letter.repeat(43)}=`);
    const own = { host: "own.example", port: 443, keyHash: a! };
    const other = { host: "other.example", port: 443, keyHash: b! };
    const warned = (server: typeof own) => warningFor(server, { own, known: [own, other] });
    assertEquals([warned(own), warned(other)], [null, null]);
    // The page goes to its own server, wherever it is said to be.
    assertEquals(warned({ ...own, host: "192.168.1.1" }), null);
    for (
      const server of [{ ...other, host: "192.168.1.1" }, { ...other, port: 22 }, { ...own, keyHash: c! }]
    ) {
      assertStringIncludes(warned(server)!, `another server, ${server.host}:${server.port}, which`);
    }
  },
);

Deno.test("a certificate that runs out while it is served is told of", async () => {
  const day = 86_400_000, end = new X509Certificate(expired.cert).validToDate.getTime();
  assertEquals(endNotice(expired, end - 14 * day - 1), null);
  assertStringIncludes(endNotice(expired, end - 14 * day)!, "runs out on 2021-01-01: start the chat again");
  const { promise, resolve } = Promise.withResolvers<string>();
  using _notices = tellEnd(expired, resolve, 1);
  assertStringIncludes(await soon(promise), "has run out on 2021-01-01: start the chat again");
});

Deno.test("a certificate is made anew for another host, or shortly before its end", async () => {
  await using folder = await temporaryFolder();
  const first = await certificateFor("192.0.2.7", folder.path);
  assertEquals(await certificateFor("192.0.2.7", folder.path), first);
  const second = await certificateFor("chat.local", folder.path);
  assert(second.cert !== first.cert);
  const certificate = new X509Certificate(second.cert);
  assertEquals(certificate.subjectAltName, "DNS:chat.local, DNS:localhost, IP Address:127.0.0.1");
  const end = Date.now() + 20 * 86_400_000;
  const old = await makeCertificate({ hosts: ["chat.local"], valid: [new Date(), new Date(end)] });
  await Deno.writeTextFile(`${folder.path}/tls/certificate.pem`, old.cert);
  const third = await certificateFor("chat.local", folder.path);
  assert(third.cert !== old.cert);
  assert(new X509Certificate(third.cert).verify(new X509Certificate(third.authority).publicKey));
});

Deno.test("a certificate is made anew where a crash or a full disk left a part of it, or a clock was wrong", async () => {
  await using folder = await temporaryFolder();
  const host = "chat.local", path = (name: string) => `${folder.path}/tls/${name}.pem`;
  const other = await makeCertificate({ hosts: [host], valid: [new Date(), new Date(Date.now() + 9e9)] });
  const tomorrow = new Date(Date.now() + 86_400_000);
  const early = await makeCertificate({ hosts: [host], valid: [tomorrow, new Date(Date.now() + 9e9)] });
  const names = { cert: "certificate", key: "key", authority: "authority" } as const;
  for (
    const left of [
      { cert: "" },
      { key: "" },
      { authority: "" },
      { key: other.key.slice(0, 100) },
      // The old key, and the old authority.
      { key: other.key },
      { authority: other.authority },
      early,
    ]
  ) {
    await certificateFor(host, folder.path);
    for (const [name, text] of Object.entries(left)) {
      await Deno.writeTextFile(path(names[name as keyof typeof names]), text);
    }
    const { cert, key, authority } = await certificateFor(host, folder.path);
    const made = new X509Certificate(cert);
    assert(made.checkPrivateKey(createPrivateKey(key)) && made.validFromDate.getTime() <= Date.now());
    assert(made.verify(new X509Certificate(authority).publicKey));
  }
});

const withOpenssl = requiring(lackOf("openssl", "version"));
withOpenssl("openssl takes the certificate for its host, by all rules", async () => {
  await using folder = await temporaryFolder();
  const authority = `${folder.path}/tls/authority.pem`;
  // Numbers of any first bits.
  for (const host of ["192.0.2.7", "chat.local", "a".repeat(60) + ".local"]) {
    await certificateFor(host, folder.path);
    const named = /^\d/.test(host) ? ["-verify_ip", host] : ["-verify_hostname", host];
    const rules = ["-x509_strict", "-purpose", "sslserver", ...named];
    const { success, stderr } = await new Deno.Command("openssl", {
      args: ["verify", ...rules, "-CAfile", authority, `${folder.path}/tls/certificate.pem`],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
  }
});
