import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { textBytes } from "../../../protocol/mod.ts";
import { CertificateHolder, checkCertificate } from "../../../server/net/certificate.ts";
import { TlsTerminator } from "../../../server/net/tls_terminator.ts";
import { welcomePage } from "../../../server/net/welcome_page.ts";
import { RawClient } from "../../support/raw_client.ts";
import { requiring } from "../../support/requires.ts";
import { connect, identity, startServer } from "../../support/server.ts";
import { SmpServer } from "../../../server/mod.ts";
import { authority, certificate, dialTls, otherCertificate, weak } from "../../support/tls.ts";
import { next, soon } from "../../support/wait.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

/** The common name of the certificate that a port shows. */
function shownBy(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connectTls({ host: "127.0.0.1", port, ca: authority, servername: "localhost" }, () => {
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    resolve(`${subject.CN}`);
  });
  socket.on("error", reject);
  return soon(promise);
}

Deno.test("messages go over WebSockets with TLS as over any other connection", async () => {
  await using server = await startServer();
  await using client = await connect(server, "tls");
  const queue = await client.createQueue({ keyPair });
  const events = client.events(queue)[Symbol.asyncIterator]();
  await client.send(queue, textBytes("over TLS"));
  const event = await next(events);
  assertEquals(event.type === "MSG" && new TextDecoder().decode(event.body), "over TLS");
});

Deno.test("a client of the platform that trusts the certificate connects with wss", async () => {
  await using server = await startServer();
  const root = new URL("../../../", import.meta.url);
  const code = `import { secureWebSocketTransport, SmpClient } from "${root}mod.ts";
const address = { host: "localhost", port: ${server.tlsPort}, keyHash: "${server.keyHash}" };
await using client = await SmpClient.connect(address, { transport: secureWebSocketTransport });
await client.createQueue();
console.log("created");`;
  const ca = new URL("tests/vectors/tls/ca.pem", root).pathname;
  const run = async (...args: readonly string[]) => {
    const { stdout } = await soon(
      new Deno.Command(Deno.execPath(), { args: ["eval", ...args, code], cwd: root, stderr: "null" })
        .output(),
    );
    return new TextDecoder().decode(stdout);
  };
  assertEquals(await run(`--cert=${ca}`), "created\n");
  assertEquals(await run(), "");
});

Deno.test("a new certificate is for new connections, and those that are there go on", async () => {
  await using server = await startServer();
  assertEquals(await shownBy(server.tlsPort!), "server1");
  await using old = await RawClient.connect(server, "tls");
  for (const [given, name] of [[otherCertificate, "server2"], [certificate, "server1"]] as const) {
    server.setCertificate(given);
    assertEquals(await shownBy(server.tlsPort!), name);
    await old.send(" 1  PING ");
    assertEquals(await old.receive(), " 1  PONG ");
  }
});

Deno.test("connections that come while the certificate changes get one or the other", async () => {
  await using server = await startServer();
  const names: Promise<string>[] = [];
  for (let i = 0; i < 30; i++) {
    names.push(shownBy(server.tlsPort!));
    if (i % 3 === 0) server.setCertificate(i % 2 === 0 ? otherCertificate : certificate);
    await new Promise((resolve) => setTimeout(resolve, i % 4));
  }
  for (const name of await Promise.all(names)) assertEquals(/^server[12]$/.test(name), true);
});

Deno.test("a certificate that cannot be used is refused, and changes nothing", async () => {
  const wrong = [
    [{ ...certificate, key: otherCertificate.key }, "the key is not that of the first certificate"],
    [{ ...certificate, cert: "x" }, "it is no PEM of a certificate"],
    [{ ...certificate, cert: certificate.cert.slice(0, 300) }, "it is no PEM of a certificate"],
    [{ ...certificate, key: "" }, "it is no PEM of a private key"],
    // A chain of which only a part is written.
    [{ ...certificate, cert: certificate.cert + otherCertificate.cert.slice(0, 300) }, "Unable to decode"],
    [weak, "failed to parse private key"],
  ] as const;
  await using server = await startServer();
  for (const [given, reason] of wrong) {
    assertThrows(() => checkCertificate(given), RangeError, reason);
    assertThrows(() => server.setCertificate(given), RangeError, reason);
    await assertRejects(
      () => SmpServer.start({ identity, host: "127.0.0.1", port: 0, tls: { port: 0, ...given } }),
      RangeError,
    );
  }
  assertEquals(await shownBy(server.tlsPort!), "server1");
  assertEquals(new X509Certificate(certificate.cert).subject, "CN=server1");
});

Deno.test("a TLS port that is taken is told, and nothing is left", async () => {
  using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const tls = { ...certificate, port: other.addr.port };
  await assertRejects(() => startServer({ tls }), Error, `Cannot listen on 127.0.0.1:${other.addr.port}`);
});

const askedBy = (host: string) => ({ method: "GET", url: "/", host });

Deno.test("the page has the public name, or the one that was asked for when that is a name", async () => {
  const own = { publicHost: null, port: () => 5223, keyHash: "aGFzaA==" };
  const addressFor = async (host: string, publicHost: string | null = null) =>
    /<code>(.*)<\/code>/.exec((await welcomePage({ ...own, publicHost })(askedBy(host)))!.body)?.[1];
  assertEquals(await addressFor("a.example:99"), "a.example:5223#aGFzaA==");
  assertEquals(await addressFor("a.example", "b.example"), "b.example:5223#aGFzaA==");
  assertEquals(await addressFor("[::1]:80"), "[::1]:5223#aGFzaA==");
  assertEquals(await addressFor("[::1]"), "[::1]:5223#aGFzaA==");
  assertEquals(await addressFor("a.example", "2001:db8::1"), "[2001:db8::1]:5223#aGFzaA==");
  for (const host of ["", "<script>", "a b", "a#b", "[::1", "[:::]", "[1]", "::1", "x".repeat(1000), 'a"b']) {
    assertEquals(await addressFor(host), "localhost:5223#aGFzaA==", host);
  }
});

Deno.test("a program can have its own pages on the ports for WebSockets, besides the server's", async () => {
  const asked: string[] = [];
  await using server = await startServer({
    webSocketPort: 0,
    pagePort: 0,
    pages({ method, url, host }) {
      asked.push(`${method} ${url} ${host.replace(/\d+$/, "port")}`);
      if (url !== "/own?a=b") return null;
      return { status: 203, headers: { "content-type": "text/x-own" }, body: Uint8Array.of(0xff, 0) };
    },
  });
  const at = `http://127.0.0.1:${server.webSocketPort}`;
  const own = await fetch(`${at}/own?a=b`);
  assertEquals([own.status, own.headers.get("content-type")], [203, "text/x-own"]);
  assertEquals(await own.bytes(), Uint8Array.of(0xff, 0));
  const head = await fetch(`${at}/own?a=b`, { method: "HEAD" });
  assertEquals([head.status, (await head.bytes()).length], [203, 0]);
  assertMatch(await (await fetch(at)).text(), /<code>/);
  const other = await fetch(`${at}/other`);
  assertEquals(other.status, 426);
  await other.body?.cancel();
  assertEquals(asked, [
    ...["GET", "HEAD"].map((method) => `${method} /own?a=b 127.0.0.1:port`),
    ...["/", "/other"].map((url) => `GET ${url} 127.0.0.1:port`),
  ]);
  // A port that pages have to themselves is another one like that.
  assertEquals((await (await fetch(`http://127.0.0.1:${server.pagePort}/own?a=b`)).bytes()).length, 2);
});

Deno.test("pages of a program that fail are an answer, and the server goes on", async () => {
  const logged: string[] = [];
  await using server = await startServer({
    tls: { port: 0, ...certificate },
    pages({ url }) {
      if (url === "/bad") return { headers: { "not a name": "x" }, body: "" };
      throw new TypeError("no page");
    },
    log: (message) => void logged.push(message),
  });
  for (const path of ["/", "//", "/bad"]) {
    const response = await fetch(`http://127.0.0.1:${server.webSocketPort}${path}`);
    assertEquals([response.status, await response.text()], [500, "error\n"], path);
  }
  assertEquals(logged.length, 3);
  await using client = await connect(server, "websocket");
  await client.ping();
});

Deno.test("whoever asks for pages under many names gets them without images, and no more are kept", async () => {
  const page = welcomePage({ publicHost: null, port: () => 5223, keyHash: "aGFzaA==" });
  const begin = performance.now();
  let images = 0;
  for (let i = 0; i < 200; i++) if ((await page(askedBy(`h${i}.example`)))!.body.includes("<svg")) images++;
  const seconds = Math.ceil((performance.now() - begin) / 1_000);
  // Ten in a second.
  assertEquals(images >= 10 && images <= 10 * (seconds + 1), true, `${images} in ${seconds} s`);
});

requiring(Deno.build.os === "linux" ? null : "loopback has other addresses only on Linux")(
  "who else connects to the loopback port takes nobody's place, and is not kept",
  async () => {
    using outer = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const terminator = new TlsTerminator(new CertificateHolder(certificate));
    const { connect } = Deno;
    const strangers: Socket[] = [];
    let inner = 0;
    // In the moment that is the best one: before the process knows which port it has connected from.
    Deno.connect = (async (options: Deno.ConnectOptions) => {
      const near = await connect(options);
      inner = options.port;
      const stranger = connectTcp({
        host: "127.0.0.1",
        port: options.port,
        localAddress: "127.0.0.2",
        localPort: near.localAddr.port,
      });
      strangers.push(stranger);
      await once(stranger, "connect");
      return near;
    }) as typeof Deno.connect;
    try {
      const dialed = dialTls(outer.addr.port);
      const served = terminator.wrap(await outer.accept());
      const buffer = new Uint8Array(5);
      const read = served.read(buffer);
      using client = await soon(dialed);
      await client.write(textBytes("hello"));
      assertEquals(await soon(read), 5);
      await served.close();
      using late = await soon(dialTls(inner));
      assertEquals(await soon(late.read(buffer)), null);
    } finally {
      Deno.connect = connect;
      for (const stranger of strangers) stranger.destroy();
      await terminator.close();
    }
    assertEquals(strangers.length, 1);
  },
);

Deno.test("a connection that is refused costs no loopback connection", async () => {
  using outer = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const terminator = new TlsTerminator(new CertificateHolder(certificate));
  using client = await Deno.connect({ hostname: "127.0.0.1", port: outer.addr.port });
  const { connect } = Deno;
  let opened = 0;
  Deno.connect = ((options: Deno.ConnectOptions) => {
    opened++;
    return connect(options);
  }) as typeof connect;
  try {
    await terminator.wrap(await outer.accept()).close();
    assertEquals([opened, await client.read(new Uint8Array(1))], [0, null]);
  } finally {
    Deno.connect = connect;
    await terminator.close();
  }
});
