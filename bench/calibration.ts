import { microseconds, printTable, record } from "./table.ts";

/** Times what any server of this protocol does by OpenSSL or the system: figures of two machines compare as ratios to these. */
export async function benchCalibration(): Promise<void> {
  const script = new URL("calibration.mjs", import.meta.url).pathname;
  const { stdout } = await new Deno.Command("node", { args: [script] }).output();
  const { verification, encryption } = JSON.parse(new TextDecoder().decode(stdout));
  const figures: [string, number][] = [
    ["RSA-2048 PSS verification, OpenSSL through Node", verification],
    ["AES-256-GCM of 4080 bytes, OpenSSL through Node", encryption],
    ["echo of 4096 bytes over loopback TCP", await echo()],
  ];
  for (const [name, value] of figures) record(`calibration: ${name}`, { microseconds: value });
  printTable(
    "calibration of this machine",
    ["", "µs"],
    figures.map(([name, value]) => [name, value.toFixed(1)]),
  );
}

async function echo(): Promise<number> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  using client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using server = await accepting;
  client.setNoDelay();
  server.setNoDelay();
  const block = new Uint8Array(4096);
  const read = async (connection: Deno.TcpConn) => {
    for (let left = block.length; left > 0;) left -= (await connection.read(block.subarray(0, left)))!;
  };
  return await microseconds(async () => {
    await client.write(block);
    await read(server);
    await server.write(block);
    await read(client);
  });
}
