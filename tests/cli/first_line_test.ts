import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readFirstLine, readFirstLineSync } from "../../cli/first_line.ts";
import { temporaryFolder } from "../support/server_process.ts";

Deno.test("the first line of a file is read, and no more of it than a line may have", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/lines`;
  const long = "x".repeat(4096);
  for (
    const [text, line] of [
      ["", ""],
      ["a", "a"],
      ["a\nb\n", "a"],
      ["ä\r\nb", "ä"],
      ["\na", ""],
      [
        `${long}\nb`,
        long,
      ],
      [`${long}\r\nb`, long],
      [`${long}\r`, long],
    ] as const
  ) {
    await Deno.writeTextFile(path, text);
    assertEquals([readFirstLineSync(path), await readFirstLine(path)], [line, line]);
  }
  await Deno.writeTextFile(path, `${long}x\n`);
  for (const endless of [path, "/dev/zero"]) {
    assertThrows(() => readFirstLineSync(endless), Error, "more than 4096 bytes");
    await assertRejects(() => readFirstLine(endless), Error, "more than 4096 bytes");
  }
});
