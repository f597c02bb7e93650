import { assertEquals } from "@std/assert";
import { all, misfitsOf } from "../mutations/all.ts";

Deno.test("every listed mutation fits the code that it breaks", async () => {
  assertEquals(await misfitsOf(all), []);
});
