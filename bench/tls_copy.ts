/**
 * What the benchmark of streams is compared with, in processes of their own: `tls_copy.ts receive` prints a port and, when
 * all has come through one TCP connection with TLS, bytes a second; `tls_copy.ts send <port> <MiB>` sends as many.
 */
// deno-lint-ignore-file no-console
import { authority, certificate } from "../tests/support/tls.ts";

const [role, port, size] = Deno.args;

async function receive(): Promise<void> {
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...certificate });
  console.log((listener.addr as Deno.NetAddr).port);
  using connection = await listener.accept();
  await connection.handshake();
  const part = new Uint8Array(256 * 1024);
  let bytes = 0, began = 0;
  for (let count; (count = await connection.read(part)) !== null;) {
    if (bytes === 0) began = performance.now();
    bytes += count;
  }
  console.log(bytes / (performance.now() - began) * 1000);
}

async function send(): Promise<void> {
  const options = { hostname: "127.0.0.1", port: Number(port), caCerts: [authority] };
  using connection = await Deno.connectTls(options);
  const part = new Uint8Array(256 * 1024).map((_, at) => at * 31);
  for (let left = Number(size) * 1024 * 1024; left > 0; left -= part.length) {
    for (let at = 0; at < part.length;) at += await connection.write(part.subarray(at));
  }
}

await (role === "send" ? send() : receive());
