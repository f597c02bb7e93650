import { assert, assertEquals, assertMatch } from "@std/assert";
import { filmSvg, spansOf } from "./film.ts";

const permissions = "none";
const recording = await Deno.readTextFile(new URL("../../docs/recording.svg", import.meta.url));

Deno.test(
  "colours of a terminal become styles, and nothing that is shown becomes markup",
  { permissions },
  () => {
    assertEquals(spansOf("plain  "), "plain");
    assertEquals(spansOf('a <b> & "c"'), 'a &lt;b> &amp; "c"');
    assertEquals(
      spansOf("\x1b[1m\x1b[32mok\x1b[0m and \x1b[38;5;31m\x1b[2mfaint\x1b[39m"),
      '<tspan style="font-weight:bold;fill:#3fb950">ok</tspan> and <tspan style="opacity:0.6">faint</tspan>',
    );
    assertEquals(spansOf("\x1b]0;title\x07x\x1b[Ky\x08"), "xy");
  },
);

Deno.test("a film shows each picture from its moment on, and a line that stays once", { permissions }, () => {
  const frames = [{ at: 0, lines: ["$ start"] }, { at: 500, lines: ["$ start", "started"] }];
  const svg = filmSvg([{ title: "a & b", columns: 10, rows: 2, place: [0, 0], frames }], 2000);
  assertMatch(
    svg,
    /@keyframes k0\{0\.000%\{transform:translateY\(0px\)\}25\.000%\{transform:translateY\(-42px\)\}100%/,
  );
  assertMatch(svg, /#f0\{animation:k0 2s steps\(1,end\) infinite\}/);
  assertEquals([...svg.matchAll(/<text id=/g)].length, 2);
  assertEquals([...svg.matchAll(/<use href="#t0"/g)].length, 2);
  assert(svg.includes("a &amp; b"));
});

Deno.test("the README's recording is short and small, and runs nothing", { permissions }, () => {
  const seconds = [...recording.matchAll(/animation:k\d ([\d.]+)s/g)].map(([, text]) => Number(text));
  assertEquals(seconds.length, 3);
  for (const one of seconds) assert(one <= 120);
  assert(recording.length < 200_000, `${recording.length}`);
  assert(!/<script|\bon\w+=|https?:(?!\/\/www\.w3\.org\/2000\/svg)|file:|\/root|\/tmp/i.test(recording));
  for (const word of ["task start", "server address: localhost:5223#", "bob is connected", "@bob shall we"]) {
    assert(recording.includes(word), word);
  }
});
