import { assertThrows } from "@std/assert";
import { Fatal } from "../../../server/commands/terminal.ts";
import { checkCanSpawn } from "../../../server/workers/command.ts";

Deno.test("a compiled executable says that it cannot start workers", () => {
  assertThrows(() => checkCanSpawn({ standalone: true }), Fatal, "a compiled executable cannot");
});

Deno.test("without the permission to run itself a server says which one workers need", {
  permissions: { read: true },
}, () => {
  assertThrows(() => checkCanSpawn(), Fatal, `pass --allow-run=${Deno.execPath()}`);
});
