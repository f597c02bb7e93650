import { assert, assertEquals } from "@std/assert";
import { ReceivedSearch } from "../../../agent/runtime/received_search.ts";
import type { MessageQuery, MessageRecord } from "../../../agent/store/store.ts";

const permissions = "none";

/** So many messages of the other side, each with a body of so many bytes, the last 8 with `last`, and what is read of them. */
function stored(count: number, length: number, last = length) {
  const body = new Uint8Array(length), lastBody = new Uint8Array(last), read = { bytes: 0, times: 0 };
  const bodyOf = (id: number) => id > count - 8 ? lastBody : body;
  const messages = (_: string, { before = Infinity, limit = 100 }: MessageQuery = {}) => {
    const end = Math.min(count, before - 1), length = Math.min(limit, end);
    const ids = Array.from({ length }, (_, i) => end - length + 1 + i);
    read.times++;
    read.bytes += ids.reduce((sum, id) => sum + bodyOf(id).length, 0);
    const recordOf = (id: number) => ({ id, body: bodyOf(id), received: { senderId: id } }) as MessageRecord;
    return Promise.resolve(ids.map(recordOf));
  };
  return { read, search: new ReceivedSearch({ messages }, "a") };
}

Deno.test("a message is found among the last 2000", { permissions }, async () => {
  const { read, search } = stored(2_500, 10);
  for (const number of [2_500, 2_400, 501]) assertEquals((await search.find(number))?.id, number);
  read.times = 0;
  assertEquals([await search.find(500), await search.find(3_000)], [null, null]);
  assert(read.times <= 264, `${read.times}`);
  assertEquals(await stored(5, 10).search.find(6), null);
});

Deno.test("who repeats numbers of messages has few bytes of them read", { permissions }, async () => {
  // Of the second length 16 leave a little of what may be read.
  for (const [length, last] of [[1_048_576, 1_048_576], [1_048_276, 1_048_276], [1_048_576, 10]] as const) {
    const { read, search } = stored(2_000, length, last);
    for (let i = 0; i < 2; i++) assertEquals((await search.find(1_998))?.id, 1_998);
    for (let i = 0; i < 16; i++) assertEquals(await search.find(1), null);
    assert(read.bytes <= 17 * 1_048_576, `${read.bytes}`);
  }
});
