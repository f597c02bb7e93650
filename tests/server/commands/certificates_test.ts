import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { connect as connectTls } from "node:tls";
import { CertificateFiles } from "../../../server/commands/certificate_files.ts";
import { CertificateNotices } from "../../../server/commands/certificate_notices.ts";
import { daysLeft, validityOf, validityProblem } from "../../../server/net/certificate.ts";
import { Fatal } from "../../../server/commands/terminal.ts";
import { createLogger } from "../../../cli/logger.ts";
import { requiring } from "../../support/requires.ts";
import { commandOf, run, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { authority, certificate, expired, otherCertificate } from "../../support/tls.ts";
import { soon } from "../../support/wait.ts";
import { startWorkers, workersIni } from "../../support/worker_processes.ts";

async function write(folder: string, { cert, key } = certificate): Promise<void> {
  await Deno.writeTextFile(`${folder}/cert.pem`, cert);
  await Deno.writeTextFile(`${folder}/key.pem`, key);
}

const iniOf = (folder: string) =>
  `[TRANSPORT]\ntls_cert: ${folder}/cert.pem\ntls_key: ${folder}/key.pem\ntls_port: 0\n`;

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

function tlsPort(server: ServerProcess): number {
  return Number(/^listening on port (\d+) \(WebSockets over TLS\)/m.exec(server.printed.join("\n"))![1]);
}

Deno.test("a server with a certificate serves WebSockets over TLS, and takes another one by reload", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await write(path);
  const options = { folder: path, ini: `${iniOf(path)}[METRICS]\nport: 0\n` };
  // The variables that ws reads, without its port.
  const env = { WS_NO_BUFFER_UTIL: "1", WS_NO_UTF_8_VALIDATE: "1" };
  await using server = await ServerProcess.start({ ...options, env });
  assertEquals(await shownBy(tlsPort(server)), "server1");
  await write(path, otherCertificate);
  const { stdout } = await run(["reload", "--config-dir", path], { folder: path });
  assertStringIncludes(stdout, "the TLS certificate is another one now\n");
  assertEquals(await shownBy(tlsPort(server)), "server2");
  await write(path, { ...certificate, key: "" });
  const late = await run(["reload", "--config-dir", path], { folder: path });
  assertMatch(late.stdout, /^the TLS certificate is the old one: .* it is no PEM of a private key/m);
  const status = await run(["status", "--config-dir", path], { folder: path });
  assertMatch(status.stdout, /^TLS certificate: \d+ days left, until 2126-\d\d-\d\d$/m);
  assertMatch(status.stdout, /^TLS files: not used: .* it is no PEM of a private key/m);
  const url = /^metrics: (http:.*)$/m.exec(server.printed.join("\n"))![1]!;
  const metrics = await (await fetch(`${url}metrics`)).text();
  const { to } = validityOf(otherCertificate);
  assertStringIncludes(metrics, `\nsmp_tls_certificate_end_seconds ${to / 1000}\n`);
  assertEquals((await server.kill("SIGTERM")).code, 0);
});

requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux")(
  "workers have the certificate, and the next one",
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await write(path);
    await using server = await startWorkers({
      folder: path,
      ini: `${iniOf(path)}${workersIni}`,
      webSockets: true,
    });
    for (let i = 0; i < 6; i++) assertEquals(await shownBy(tlsPort(server)), "server1");
    await write(path, otherCertificate);
    await run(["reload", "--config-dir", path], { folder: path });
    // They have read it before they have answered for their numbers.
    await run(["status", "--config-dir", path], { folder: path });
    for (let i = 0; i < 6; i++) assertEquals(await shownBy(tlsPort(server)), "server2");
  },
);

Deno.test("a certificate that is not whole ends the start with the files and the reason", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await write(path, { ...certificate, key: otherCertificate.key });
  const refused = async (ini: string) => {
    await Deno.writeTextFile(`${path}/smp-server.ini`, ini);
    const [file, ...args] = commandOf(
      ["start", "-y", "--port", "0", "--config-dir", path, "--log-dir", path],
      { folder: path },
    );
    const { code, stderr } = await soon(new Deno.Command(file!, { args, stdin: "null" }).output());
    assertEquals(code, 1);
    return new TextDecoder().decode(stderr);
  };
  const wrong = async (ini: string) => {
    await Deno.writeTextFile(`${path}/smp-server.ini`, ini);
    const { code, stdout } = await run(["verify", "--config-dir", path, "--log-dir", path], { folder: path });
    assertEquals(code, 1);
    return /^wrong: (.*(?:TLS|key\.pem).*)$/m.exec(stdout)?.[1] ?? stdout;
  };
  assertMatch(await refused(iniOf(path)), /the key is not that of the first certificate .*cert\.pem/);
  assertMatch(await wrong(iniOf(path)), /the key is not that of the first certificate .*cert\.pem/);
  const half = `[TRANSPORT]\ntls_cert: ${path}/cert.pem\n`;
  assertMatch(await refused(half), /are needed together/);
  assertMatch(await wrong(half), /are needed together/);
  await Deno.remove(`${path}/key.pem`);
  assertMatch(await refused(iniOf(path)), /Cannot read .*key\.pem: there is no such file/);
  assertMatch(await wrong(iniOf(path)), /Cannot read .*key\.pem: there is no such file/);
});

Deno.test("a certificate that browsers refuse for its dates is used, and warned of", async () => {
  const at = (text: string) => validityProblem(validityOf(expired), Date.parse(text));
  assertEquals(at("2020-06-01"), null);
  const refused = (text: string) => ({ isRefused: true, text });
  assertEquals(at("2019-06-01"), refused("it is not valid before 2020-01-01"));
  assertEquals(at("2021-06-01"), refused("it has expired on 2021-01-01"));
  await using folder = await temporaryFolder();
  const { path } = folder;
  await write(path, expired);
  await Deno.writeTextFile(`${path}/smp-server.ini`, iniOf(path));
  assertEquals((await run(["init", "--config-dir", path], { folder: path })).code, 0);
  const { code, stdout } = await run(["verify", "--config-dir", path, "--log-dir", path], { folder: path });
  assertEquals(code, 0, stdout);
  const what = `browsers refuse the certificate in ${path}/cert.pem: it has expired on 2021-01-01`;
  assertStringIncludes(stdout, `ok: ${path}/cert.pem and ${path}/key.pem\nwarning: ${what}\n`);
  const logged: string[] = [];
  const logger = createLogger({ level: "info", format: "text", write: (line) => void logged.push(line) });
  const settings = { tlsCert: `${path}/cert.pem`, tlsKey: `${path}/key.pem` };
  using files = (await CertificateFiles.open(settings, logger))!;
  assertEquals(logged.map((line) => line.split(" WARN ")[1]), [what]);
  await write(path);
  assertEquals([await files.look(), logged.length], [true, 2]);
});

Deno.test("a certificate that runs out is told of at once, once a day, and when it has", () => {
  const day = 86_400_000;
  const { to } = validityOf(expired);
  const clock = { time: to - 30 * day, ran: 0 };
  const told: string[] = [];
  const notices = new CertificateNotices("cert.pem", (text) => void told.push(text), {
    now: () => clock.time,
    steady: () => clock.ran,
  });
  const pass = (time: number, certificate = expired) => {
    [clock.time, clock.ran] = [clock.time + time, clock.ran + time];
    notices.look(certificate);
    return told.splice(0);
  };
  const soon = (left: string) => [
    `the certificate in cert.pem has to be renewed: it runs out ${left}, on 2021-01-01`,
  ];
  const refused = ["browsers refuse the certificate in cert.pem: it has expired on 2021-01-01"];
  assertEquals(pass(0), []);
  assertEquals(pass(16 * day), []);
  assertEquals(pass(1), soon("in 13 days"));
  assertEquals(pass(day - 1), []);
  assertEquals(pass(1), soon("in 12 days"));
  assertEquals(pass(11 * day + 1), soon("in 1 day"));
  assertEquals(pass(day - 1), []);
  assertEquals(pass(1), soon("within a day"));
  // A clock that jumps makes it neither silent nor loud.
  clock.time -= 3_600_000;
  assertEquals(pass(0), []);
  clock.time = to + 1;
  assertEquals(pass(0), refused);
  assertEquals([pass(day - 1), pass(1)], [[], refused]);
  // Another one is told of, whatever was said of the one before.
  clock.time = validityOf(certificate).from - day;
  assertEquals(pass(0, certificate).length, 1);
  assertEquals(pass(2 * day, certificate), []);
  clock.time = to - 400 * day;
  assertEquals(pass(0), ["browsers refuse the certificate in cert.pem: it is not valid before 2020-01-01"]);
  assertEquals([daysLeft({ from: 0, to }, to - 1), daysLeft({ from: 0, to }, to + 1)], [0, -1]);
});

Deno.test("files that are being written change nothing until they are whole", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await write(path);
  const logged: string[] = [];
  const logger = createLogger({ level: "info", format: "text", write: (line) => void logged.push(line) });
  const settings = { tlsCert: `${path}/cert.pem`, tlsKey: `${path}/key.pem` };
  using files = (await CertificateFiles.open(settings, logger))!;
  const used: string[] = [];
  files.follow(({ cert }) => void used.push(cert));
  assertEquals([await files.look(), used.length], [false, 0]);
  await Deno.writeTextFile(settings.tlsCert, otherCertificate.cert);
  // It is told once, not at each look.
  for (let i = 0; i < 3; i++) assertEquals([await files.look(), used.length], [false, 0]);
  assertEquals(logged.length, 1);
  assertMatch(files.problem!, /the key is not that of the first certificate/);
  await Deno.writeTextFile(settings.tlsKey, otherCertificate.key);
  assertEquals([await files.look(), used], [true, [otherCertificate.cert]]);
  assertEquals(files.problem, null);
  await Deno.remove(settings.tlsKey);
  assertEquals([await files.look(), files.current.key], [false, otherCertificate.key]);
  await assertRejects(() => CertificateFiles.open(settings, logger), Fatal, "Cannot read");
  assertEquals(await CertificateFiles.open({ tlsCert: null, tlsKey: null }, logger), null);
});
