import { assertEquals } from "@std/assert";
import { whyNotRegular } from "../../cli/file_kind.ts";

Deno.test("what is no regular file is called by its kind", { permissions: "none" }, () => {
  const kinds: readonly (readonly [number | null, string])[] = [
    [0o010600, "it is a named pipe, not a file"],
    [0o140755, "it is a socket, not a file"],
    [0o020666, "it is a device, not a file"],
    [0o060660, "it is a device, not a file"],
    [null, "it is a device, not a file"],
  ];
  for (const [mode, why] of kinds) assertEquals(whyNotRegular({ mode, isDirectory: false }), why);
  for (const mode of [0o040755, null]) {
    assertEquals(whyNotRegular({ mode, isDirectory: true }), "it is a directory");
  }
});
