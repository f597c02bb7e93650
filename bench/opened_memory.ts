/**
 * What it takes that a queue is opened and has a window: bytes of the heap without garbage, for each connection with a
 * subscribed queue. Server and connections are in this process, which must be started with `--v8-flags=--expose-gc`.
 */
// deno-lint-ignore-file no-console
import { type Line, openLines } from "../client/cli/line.ts";
import { makeSigner, signed, type Signer } from "../client/cli/load_queues.ts";
import { checkLimits, defaultLimits } from "../server/config/limits.ts";
import { SmpServer } from "../server/mod.ts";

const connections = 2_000;

async function createQueues(lines: readonly Line[], signer: Signer): Promise<Map<Line, string>> {
  const create = await signed(signer, "", "", { type: "NEW", recipientKey: signer.publicKey });
  const queues = new Map<Line, string>();
  for (const line of lines) {
    line.onTransmission = ({ response }) => {
      if (response.type === "IDS") queues.set(line, response.recipientId);
    };
    line.write(create);
  }
  await Promise.all(lines.map((line) => line.answered()));
  return queues;
}

/** Gives commands on the queue of each connection; bytes of the heap after it. */
async function heapAfter(
  queues: ReadonlyMap<Line, string>,
  signer: Signer,
  commands: (line: Line) => readonly Parameters<typeof signed>[3][],
): Promise<number> {
  for (const [line, recipientId] of queues) {
    for (const command of commands(line)) line.write(await signed(signer, "", recipientId, command));
  }
  await Promise.all([...queues.keys()].map((line) => line.answered()));
  // What is under way holds memory for some turns.
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    (globalThis as { gc?: () => void }).gc!();
  }
  // Nothing of it is outside of the heap.
  return Deno.memoryUsage().heapUsed;
}

const limits = checkLimits({
  ...defaultLimits,
  connectionsPerIp: 0,
  handshakesPerIp: 0,
  handshakesPerSecondPerIp: 0,
  newQueuesPerHourPerIp: 0,
});
await using server = await SmpServer.start({ host: "127.0.0.1", port: 0, limits });
const signer = await makeSigner();
const lines = await openLines(server.address, connections);
const queues = await createQueues(lines, signer);
// As many commands as later, and twice, so that all code has its memory already.
const subscribe = () => [{ type: "SUB" }, { type: "SUB" }] as const;
await heapAfter(queues, signer, subscribe);
const before = await heapAfter(queues, signer, subscribe);
const after = await heapAfter(
  queues,
  signer,
  ({ binding }) => [{ type: "OPEN", binding }, { type: "SUBN", window: 32 }],
);
console.log((after - before) / connections);
await Promise.all(lines.map((line) => line.close()));
