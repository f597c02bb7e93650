import { assertEquals } from "@std/assert";
import type { Agent, StreamOffer } from "../../agent/mod.ts";
import { Files } from "../../examples/terminal-chat/files.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { until } from "../support/wait.ts";

function offerOf(id: string, name: string): StreamOffer {
  const ended = new Promise<void>(() => {});
  const offer = { id, name, connection: "bob", direction: "receiving", status: "offered", size: 1, ended };
  return offer as unknown as StreamOffer;
}

Deno.test("files of one name that come at the same time get names of their own", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const targets: string[] = [];
  const arrived = Promise.withResolvers<void>();
  const agent = {
    streams: () => [],
    receiveFile: async (_: StreamOffer, target: string) => {
      targets.push(target.slice(path.length + 1));
      await arrived.promise;
    },
  } as unknown as Agent;
  const shown: string[] = [];
  const files = new Files(agent, { folder: path, show: (text) => void shown.push(text), status: () => {} });
  await Deno.writeTextFile(`${path}/a.txt`, "");
  for (const [at, name] of ["a.txt", "a.txt", "b.txt", "c.txt"].entries()) {
    files.offered(offerOf(`${at}`, name));
  }
  for (const number of [1, 2]) files.accept(number, null);
  files.accept(3, "d.txt");
  files.accept(4, "d.txt");
  const isTold = () => shown.some((text) => text.includes("d.txt is where another file is being saved"));
  await until(() => targets.length === 3 && isTold());
  arrived.resolve();
  await files.stopped();
  assertEquals(targets.toSorted(), ["a (2).txt", "a (3).txt", "d.txt"]);
});
