import { assertEquals } from "@std/assert";
import { isDiskFull, osReason } from "../../cli/os_error.ts";

const permissions = "none";

/** As runtimes make them: Deno gives these no code, and Node one that is no name. */
const errors: readonly (readonly [string, Error, string, boolean])[] = [
  [
    "a full disk",
    Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" }),
    "no space is left on the disk",
    true,
  ],
  [
    "a quota in Deno",
    new Error("Disk quota exceeded (os error 122)"),
    "no space is left for this user",
    true,
  ],
  [
    "a quota in Deno on macOS",
    new Error("Disc quota exceeded (os error 69)"),
    "no space is left for this user",
    true,
  ],
  [
    "a quota in Node",
    Object.assign(new Error("Unknown system error -122: Unknown system error -122, write"), {
      code: "Unknown system error -122",
      errno: -122,
    }),
    "no space is left for this user",
    true,
  ],
  [
    "a system with too many files",
    new Error("Too many open files in system (os error 23)"),
    "too many files are open",
    false,
  ],
  ["anything else", new Error("Is on fire (os error 999)"), "Is on fire", false],
];

for (const [what, error, reason, isFull] of errors) {
  Deno.test(`${what} is known by what the system says`, { permissions }, () => {
    assertEquals([osReason(error), isDiskFull(error)], [reason, isFull]);
  });
}
