import { assertEquals } from "@std/assert";
import type { OutboundRoute } from "../../../agent/store/store.ts";
import { Credits } from "../../../agent/stream/credits.ts";
import type { StreamPorts } from "../../../agent/stream/ports.ts";
import { deferred, openPacket, randomBytes, readStreamHead, type StreamRun } from "../../../protocol/mod.ts";
import { until } from "../../support/wait.ts";

const run: StreamRun = { run: randomBytes(16), key: randomBytes(32), chunkSize: 1 };

/** Credits on routes whose servers do with each packet what the test says; gives the numbers that they have taken. */
function fakeCredits(
  servers: Readonly<Record<string, (number: number) => Promise<void>>>,
  retry = { first: 1, most: 1 },
) {
  const routes = Object.keys(servers).map((host) => ({
    id: host,
    keys: {
      ...{ server: { host }, senderId: "c2lk", senderKey: new Uint8Array(0), routeKey: randomBytes(32) },
      blockSize: 4096,
    },
  })) as unknown as OutboundRoute[];
  const taken: string[] = [];
  const client = ({ host }: { readonly host: string }) =>
    Promise.resolve({
      async send(_: unknown, body: Uint8Array<ArrayBuffer>) {
        const { keys } = routes.find(({ id }) => id === host)!;
        const opened = await openPacket(body, keys);
        const head = opened.ok && opened.packet.type === "stream chunk" &&
          readStreamHead(opened.packet.content);
        const { number } = head || { number: -1 };
        await servers[host]!(number);
        taken.push(`${host} ${number}`);
      },
    });
  const context = {
    servers: { client },
    keys: { signing: () => Promise.resolve(null) },
    retry,
  };
  const ports = { context, connection: () => ({ outbound: routes }) } as unknown as StreamPorts;
  return { credits: new Credits(ports), taken, routes };
}

Deno.test("credit goes by one route while the server of another one does not answer", {
  permissions: "none",
}, async () => {
  const answer = deferred<void>();
  const { credits, taken } = fakeCredits({ frozen: () => answer.promise, live: () => Promise.resolve() });
  for (const number of [8, 16, 24]) {
    credits.tell(run, number);
    await until(() => taken.at(-1) === `live ${number}`);
  }
  answer.resolve();
  // What it has missed meanwhile is in what is told last.
  await until(() => taken.at(-1) === "frozen 24");
  assertEquals(taken, ["live 8", "live 16", "live 24", "frozen 8", "frozen 24"]);
  await credits.close();
});

Deno.test("credit that no server takes is told again until one does, and then by no other one", {
  permissions: "none",
}, async () => {
  let tries = 0;
  const failed = () => Promise.reject(new Error("away"));
  const { credits, taken, routes } = fakeCredits({
    away: () => (tries++, failed()),
    back: () => tries < 3 ? failed() : Promise.resolve(),
  });
  credits.tell(run, 8);
  await until(() => taken.length > 0);
  await credits.close();
  const before = tries;
  credits.tell(run, 16);
  assertEquals([taken, tries, routes.length], [["back 8"], before, 2]);
});

Deno.test("a route that took late what others had passed waits for no other try of what others have taken", {
  permissions: "none",
}, async () => {
  const late = deferred<void>();
  const asked: number[] = [];
  const { credits, taken } = fakeCredits({
    late(number) {
      asked.push(number);
      return number === 8
        ? late.promise
        : number === 16
        ? Promise.reject(new Error("away"))
        : Promise.resolve();
    },
    live: () => Promise.resolve(),
  }, { first: 3_600_000, most: 3_600_000 });
  for (const number of [8, 16]) {
    credits.tell(run, number);
    await until(() => taken.at(-1) === `live ${number}`);
  }
  late.resolve();
  await until(() => asked.length === 2);
  credits.tell(run, 24);
  await until(() => taken.includes("late 24"));
  assertEquals(asked, [8, 16, 24]);
  await credits.close();
});
