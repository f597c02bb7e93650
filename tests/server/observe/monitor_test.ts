import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { TransportError } from "../../../mod.ts";
import { Monitor, type MonitorOptions } from "../../../server/observe/monitor.ts";
import { formatPrometheus } from "../../../server/observe/prometheus.ts";
import { soon } from "../../support/wait.ts";
import { namesOf, parsePrometheus } from "./prometheus_parser.ts";
import { gauges, nodeStatus, testSource } from "./samples.ts";

const net = { net: ["127.0.0.1"] };

Deno.test(
  "every metric is in the Grafana dashboard, and no other",
  { permissions: { read: ["docs"] } },
  async () => {
    const { metrics, ...info } = { ...testSource(), cluster: () => nodeStatus, certificateEnd: () => 0 };
    const families = [...parsePrometheus(formatPrometheus(metrics, gauges, info)).values()].map(namesOf);
    const dashboard = JSON.parse(await Deno.readTextFile("docs/grafana-dashboard.json"));
    const used = new Set(JSON.stringify(dashboard.panels).match(/\b(smp|process)_[a-z_]+/g)!);
    for (const names of families) assert(names.some((name) => used.has(name)), names[0]);
    assertEquals([...used.difference(new Set(families.flat()))], []);
  },
);

async function withMonitor(
  test: (url: string, monitor: Monitor) => Promise<void>,
  options: Partial<MonitorOptions> = {},
): Promise<void> {
  await using monitor = Monitor.start({
    host: "127.0.0.1",
    port: 0,
    source: testSource(),
    now: () => 0,
    ...options,
  });
  await test(`http://127.0.0.1:${monitor.port}`, monitor);
}

Deno.test(
  "the monitor answers by path, for nobody's cache",
  { permissions: net },
  () =>
    withMonitor(async (url) => {
      const paths = ["/", "/status.css", "/status.js", "/status.json", "/metrics", "/health", "/ready"];
      for (const path of paths) {
        const response = await fetch(url + path);
        const text = await response.text();
        assertEquals(response.status, 200, path);
        assert(text.length > 0);
        assertEquals(response.headers.get("cache-control"), "no-store");
        assertEquals(response.headers.get("x-content-type-options"), "nosniff");
        assertStringIncludes(response.headers.get("content-security-policy")!, "default-src 'none'");
        const head = await fetch(url + path, { method: "HEAD" });
        assertEquals([head.status, await head.text()], [200, ""]);
        const post = await fetch(url + path, { method: "POST", body: "x" });
        await post.text();
        assertEquals([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
      }
      const other = await fetch(`${url}/etc/passwd`);
      await other.text();
      assertEquals(other.status, 404);
    }),
);

Deno.test(
  "ready says why it is not, health only that the process answers",
  { permissions: net },
  () =>
    withMonitor(async (url) => {
      const ready = await fetch(`${url}/ready`);
      assertEquals([ready.status, await ready.text()], [503, "memory is short\n"]);
      const health = await fetch(`${url}/health`);
      assertEquals([health.status, await health.text()], [200, "ok\n"]);
    }, { source: { ...testSource(), notReady: () => "memory is short" } }),
);

Deno.test(
  "a name that somebody else has made point here is refused",
  { permissions: net },
  () =>
    withMonitor(async (url) => {
      for (
        const [host, status] of [["evil.example", 403], ["localhost:1", 200], ["[::1]", 200], [
          "10.0.0.1",
          200,
        ]]
      ) {
        const { port } = new URL(url);
        using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
        const request = `GET /metrics HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        await connection.write(new TextEncoder().encode(request));
        const text = await new Response(connection.readable).text();
        assert(text.startsWith(`HTTP/1.1 ${status} `), text.slice(0, 40));
      }
    }),
);

Deno.test(
  "names that the monitor was given are its own, in any case, and no others",
  { permissions: net },
  () =>
    withMonitor(async (url) => {
      const { port } = new URL(url);
      const cases = [
        ["smp", 200],
        ["SMP:9223", 200],
        ["smp.monitoring.svc:80", 200],
        ["smp.monitoring.svc.", 200],
        ["monitoring.svc", 403],
        ["smp.monitoring.svc.evil.example", 403],
        ["evil.smp", 403],
        ["", 403],
        ["localhost", 200],
      ] as const;
      for (const [host, status] of cases) {
        const request = `GET /metrics HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        using connection = await open(Number(port), request);
        const text = await readAll(connection);
        assert(text.startsWith(`HTTP/1.1 ${status} `), `${host}: ${text.slice(0, 40)}`);
      }
    }, { hosts: ["smp", "smp.monitoring.svc"] }),
);

Deno.test(
  "the numbers of the page are those of the server",
  { permissions: net },
  () =>
    withMonitor(async (url, monitor) => {
      monitor.sample();
      const status = await (await fetch(`${url}/status.json`)).json();
      assertEquals([status.gauges, status.refused.quota], [gauges, 1]);
      assertEquals(status.history.connections, [gauges.connections]);
    }),
);

Deno.test("a port that is taken is told", { permissions: net }, async () => {
  await withMonitor((_url, { port }) => {
    const error = assertThrows(
      () => Monitor.start({ host: "127.0.0.1", port, source: testSource() }),
      TransportError,
    );
    assertStringIncludes(error.message, `Cannot listen on 127.0.0.1:${port}: `);
    return Promise.resolve();
  });
});

/** Opens a connection and sends `text`. */
async function open(port: number, text: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  return connection;
}

/** Reads until the peer has closed; a reset is an end too. */
async function readAll(connection: Deno.TcpConn): Promise<string> {
  try {
    return await soon(new Response(connection.readable).text());
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return "";
    throw error;
  }
}

Deno.test(
  "a client that sends no whole request is closed",
  { permissions: net },
  () =>
    withMonitor(async (url, { port }) => {
      const texts = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n", "\0\xff junk\r\n\r\n"];
      await Promise.all(texts.map(async (text) => {
        using connection = await open(port, text);
        assert(!(await readAll(connection)).includes("200 OK"));
      }));
      assertEquals(await (await fetch(`${url}/health`)).text(), "ok\n");
    }, { timeout: 1_000 }),
);

Deno.test(
  "connections above the most end older ones, and keep nobody out",
  { permissions: net },
  () =>
    withMonitor(async (url, monitor) => {
      const { port } = monitor;
      const idle = await Promise.all(Array.from({ length: 40 }, () => open(port, "GET / HT")));
      const ends = idle.map(readAll);
      assertEquals(await (await soon(fetch(`${url}/health`))).text(), "ok\n");
      await Promise.all(ends.slice(0, 8));
      await soon(monitor[Symbol.asyncDispose]());
      await Promise.all(ends);
    }, { timeout: 600_000 }),
);

Deno.test("whoever asks without end is told to come later", { permissions: net }, async () => {
  let now = 0;
  await withMonitor(async (url) => {
    const ask = async () => {
      const response = await fetch(`${url}/health`);
      await response.text();
      return [response.status, response.headers.get("retry-after")];
    };
    for (let i = 0; i < 100; i++) assertEquals(await ask(), [200, null]);
    assertEquals(await ask(), [503, "1"]);
    now += 1000;
    assertEquals(await ask(), [200, null]);
  }, { now: () => now });
});
