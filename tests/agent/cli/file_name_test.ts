import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { numbered, safeName } from "../../../agent/cli/file_name.ts";
import { anyCharacter } from "../../support/any_text.ts";

const permissions = "none";

Deno.test(
  "a name that somebody else has chosen becomes one of a file in the same folder",
  { permissions },
  () => {
    for (
      const [given, name] of [
        ["cat.png", "cat.png"],
        ["Übermut 猫.tar.gz", "Übermut 猫.tar.gz"],
        ["../../etc/passwd", "passwd"],
        ["C:\\Windows\\win.ini", "win.ini"],
        ["/", "file"],
        ["", "file"],
        ["..", "file"],
        [".bashrc", "bashrc"],
        ["-rf", "rf"],
        ["~", "file"],
        ["a\x1b[2J\r\nb\u202egnp.exe", "a[2Jbgnp.exe"],
        ["\u200bx\ufeff\u2028y", "xy"],
        ['a:b*c?d"e<f>g|h', "a_b_c_d_e_f_g_h"],
        ["trailing. . ", "trailing"],
        ["CON", "_CON"],
        ["nul.txt", "_nul.txt"],
        ["COM\u00b9.log", "_COM\u00b9.log"],
        ["conin$", "_conin$"],
        ["\ud800x", "_x"],
        ["a\u3164.png", "a.png"],
        ["\u115f\u2800\ufe0f", "file"],
      ] as const
    ) assertEquals(safeName(given), name, JSON.stringify(given));
    assertEquals(safeName(`${"ä".repeat(150)}.jpeg`), `${"ä".repeat(97)}.jpeg`);
  },
);

Deno.test(
  "whatever it is, a name is no path, hides nothing, and has at most 200 bytes",
  { permissions },
  () => {
    const unit = fc.oneof(
      anyCharacter,
      fc.constantFrom(..."/\\.~- :\0\x1b\n\u202e\u2066a\ud800"),
    );
    fc.assert(fc.property(fc.array(unit, { maxLength: 300 }), (units) => {
      const name = safeName(units.join(""));
      assert(name.length > 0 && name.isWellFormed());
      assert(new TextEncoder().encode(name).length <= 201, name);
      assert(!/[/\\:*?"<>|]|^[.~\s-]|[.\s]$|[\p{C}]/u.test(name), JSON.stringify(name));
      const second = numbered(name, 2);
      assert(second !== name);
      assert(new TextEncoder().encode(second).length <= 210);
      assertEquals(numbered(name, 1), name);
    }));
  },
);

Deno.test("a number stands before the extension", { permissions }, () => {
  assertEquals(numbered("cat.png", 2), "cat (2).png");
  assertEquals(numbered("a.tar.gz", 3), "a (3).tar.gz");
  assertEquals(numbered("README", 2), "README (2)");
  assertEquals(numbered("v1. final", 2), "v1. final (2)");
});
