import { assert, assertEquals } from "@std/assert";
import { formatBytes, ProgressLine } from "../../../agent/cli/progress.ts";

const permissions = "none";

function line(columns = 80) {
  let text = "", now = 0;
  const show = (part: string) => void (text += part);
  const progress = new ProgressLine({ show, columns: () => columns, now: () => now });
  return {
    progress,
    at(milliseconds: number, bytes: number, size: number | null, name = "cat.png") {
      now = milliseconds;
      text = "";
      progress.update(name, { bytes, size });
      return text;
    },
    clear() {
      text = "";
      progress.clear();
      return text;
    },
  };
}

Deno.test(
  "a bar says how much is there, how fast it comes, and how long it takes yet",
  { permissions },
  () => {
    const { at, clear } = line();
    assertEquals(
      at(0, 0, 10_000_000),
      "\rcat.png  [--------------------]   0 %  0 B of 10.0 MB  0 B/s\x1b[K",
    );
    assertEquals(
      at(1000, 2_500_000, 10_000_000),
      "\rcat.png  [#####---------------]  25 %  2.5 MB of 10.0 MB  2.5 MB/s  0:03\x1b[K",
    );
    assertEquals(at(1000, 2_500_000, 10_000_000), "");
    // After a pause it is the speed of the last seconds.
    at(10_000, 2_500_000, 10_000_000);
    assertEquals(
      at(11_000, 3_500_000, 10_000_000),
      "\rcat.png  [#######-------------]  35 %  3.5 MB of 10.0 MB  100.0 kB/s  1:05\x1b[K",
    );
    assertEquals(clear(), "\r\x1b[K");
    assertEquals(clear(), "");
  },
);

Deno.test("of what has no known size it says how much came", { permissions }, () => {
  const { at } = line();
  at(0, 0, null, "");
  assertEquals(at(2000, 3000, null, ""), "\r3.0 kB  1.5 kB/s\x1b[K");
});

Deno.test("a name is cut so that the line fits, and no terminal obeys it", { permissions }, () => {
  for (const columns of [0, 1, 20, 60, 70, 75]) {
    const text = line(columns).at(0, 5, 10, "\x1b[2J\r\n\t\u202e猫猫猫猫猫猫猫猫猫猫猫");
    const shown = text.slice("\r".length, -"\x1b[K".length);
    assert(!/[\p{Cc}\u202e]/u.test(shown), JSON.stringify(shown));
    const width = [...shown].reduce((sum, char) => sum + (char < "\u0300" ? 1 : 2), 0);
    assert(width < Math.max(columns, 1), `${width} of ${columns}`);
  }
});

Deno.test("bytes are told with one digit behind the point", { permissions }, () => {
  assertEquals([0, 999, 1000, 12_345, 999_949, 999_950, 1.5e9, 2e15].map(formatBytes), [
    "0 B",
    "999 B",
    "1.0 kB",
    "12.3 kB",
    "999.9 kB",
    "1.0 MB",
    "1.5 GB",
    "2000.0 TB",
  ]);
});
