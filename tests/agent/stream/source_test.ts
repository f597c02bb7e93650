import { assert, assertEquals } from "@std/assert";
import { FileSource } from "../../../agent/stream/file_source.ts";
import { BlobSource, type StreamSource, WrittenSource } from "../../../agent/stream/source.ts";
import { equalBytes, largestChunk } from "../../../protocol/mod.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { someBytes } from "../../support/streams.ts";

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

Deno.test(
  "what is in two parts of what was written is read whole, also again, each time into the same memory",
  {
    permissions: "none",
  },
  async () => {
    const most = largestChunk(65_536), all = someBytes(4 * most);
    const source = new WrittenSource();
    await source.begin(0, () => {});
    const writing = source.write(all).then(() => source.end());
    const joined = new Set<ArrayBuffer>();
    const readFrom = async (offset: number, length: number) => {
      const { data } = await source.read(offset, length);
      assert(equalBytes(data, all.subarray(offset, offset + data.length)));
      const isInTwo = Math.floor(offset / most) < Math.floor((offset + data.length - 1) / most);
      if (isInTwo) joined.add(data.buffer);
      return offset + data.length;
    };
    let offset = await readFrom(0, 1000);
    while (offset < all.length) offset = await readFrom(offset, most);
    // As after a lost run.
    await source.begin(1, () => {});
    for (let again = 1; again < all.length;) again = await readFrom(again, most);
    assertEquals(joined.size, 1);
    await source.close(null);
    await writing;
  },
);
