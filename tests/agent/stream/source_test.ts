import { assertEquals } from "@std/assert";
import { FileSource } from "../../../agent/stream/file_source.ts";
import { BlobSource, type StreamSource } from "../../../agent/stream/source.ts";
import { temporaryFolder } from "../../support/server_process.ts";

const length = 32 * 1024 * 1024;

/** In which order a part that is under way and another beginning are done. */
async function orderOf(source: StreamSource): Promise<readonly string[]> {
  const done: string[] = [];
  await source.begin(0, () => {});
  const reading = source.read(0, length).then(() => done.push("read"));
  await source.begin(0, () => {}).then(() => done.push("begin"));
  await reading;
  await source.close(null);
  return done;
}

Deno.test("what another run begins to read waits for what is being read into the same memory", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/file`;
  await Deno.writeFile(path, new Uint8Array(length));
  const modifiedAt = (await Deno.stat(path)).mtime!.getTime();
  assertEquals(await orderOf(new FileSource({ path, size: length, modifiedAt })), ["read", "begin"]);
  assertEquals(await orderOf(new BlobSource(new Blob([new Uint8Array(length)]))), ["read", "begin"]);
});
