import { assertEquals, assertThrows } from "@std/assert";
import { readCommandLine, readWhole, UsageError } from "../../cli/options.ts";

const permissions = "none";
const kinds = { yes: "flag", log: "flag", port: "value", server: "list" } as const;
const read = (...args: readonly string[]) => readCommandLine(args, kinds, { y: "yes", l: "log" });
const nothing = { yes: false, log: false, port: undefined, server: [] };

Deno.test("options and other arguments come in any order", { permissions }, () => {
  assertEquals(read(), { options: nothing, positional: [] });
  assertEquals(read("a", "--port=1", "-", "-yl", "--server", "x", "", "--server=y=z"), {
    options: { yes: true, log: true, port: "1", server: ["x", "y=z"] },
    positional: ["a", "-", ""],
  });
  assertEquals(read("--", "--port", "-y"), { options: nothing, positional: ["--port", "-y"] });
  assertEquals(read("--port=-1").options.port, "-1");
  assertEquals(read("--port", "-").options.port, "-");
  assertEquals(read("-y", "--yes").options.yes, true);
});

Deno.test("what cannot be is told by the option's name", { permissions }, () => {
  const cases: readonly (readonly [line: string, message: string])[] = [
    ["--bogus", "unknown option --bogus"],
    ["--bogus=1", "unknown option --bogus=1"],
    ["a -x", "unknown option -x"],
    ["-yx", "unknown option -yx"],
    ["-port", "unknown option -port"],
    ["--no-yes", "unknown option --no-yes"],
    ["--__proto__", "unknown option --__proto__"],
    ["--constructor=1", "unknown option --constructor=1"],
    ["--yes=1", "--yes takes no value"],
    ["--yes=", "--yes takes no value"],
    ["--port", "--port needs a value"],
    ["--port=", "--port needs a value"],
    ["--port ", "--port needs a value"],
    ["--port --yes", "--port needs a value"],
    ["--port -1", "--port needs a value"],
    ["--server ", "--server needs a value"],
    ["--server=", "--server needs a value"],
    ["--port 1 --port 1", "--port is given more than once"],
  ];
  for (const [line, message] of cases) {
    const { message: found } = assertThrows(() => read(...line.split(" ")), UsageError);
    assertEquals(found, message, line);
  }
});

Deno.test("a number is told with what it may be", { permissions }, () => {
  const range = { least: 1, most: 65_535 };
  assertEquals([readWhole("port", "1", range), readWhole("port", "65535", range)], [1, 65_535]);
  for (const text of ["0", "65536", "x", "1.5", "1e3", "0x1", "+1", " 1", "١", "99999999999"]) {
    const { message } = assertThrows(() => readWhole("port", text, range), UsageError);
    assertEquals(message, `--port ${text} is not a number from 1 to 65535`);
  }
});
