import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  adminHelpText,
  type CliOptions,
  environmentNames,
  helpText,
  parseCli,
} from "../../../server/config/cli.ts";

const permissions = "none";
const defaults: CliOptions = {
  yes: false,
  repair: false,
  configDir: "/etc/opt/simplex",
  logDir: "/var/opt/simplex",
};

Deno.test("the options of start are read", { permissions }, async (t) => {
  const cases: [line: string, options: Partial<CliOptions>][] = [
    ["", {}],
    ["start", {}],
    ["-y", { yes: true }],
    ["--yes", { yes: true }],
    ["start --config-dir data", { configDir: "data" }],
    ["--config-dir=a=b", { configDir: "a=b" }],
    ["--config-dir 7", { configDir: "7" }],
    ["--host 127.0.0.1", { host: "127.0.0.1" }],
    ["--host ::1", { host: "::1" }],
    ["--host [0::1]", { host: "::1" }],
    ["--port 0", { port: 0 }],
    ["--port=65535", { port: 65535 }],
    ["--ws-port 80", { webSocketPort: 80 }],
    ["--ws-port=0", { webSocketPort: 0 }],
    ["--log-dir logs", { logDir: "logs" }],
    ["-l", { storeLog: true }],
    ["--store-log", { storeLog: true }],
    ["--repair", { repair: true }],
    ["--port 1 start", { port: 1 }],
    ["-y start", { yes: true }],
    [
      "start -y --config-dir data --host localhost --port 1 --ws-port 2",
      { yes: true, configDir: "data", host: "localhost", port: 1, webSocketPort: 2 },
    ],
  ];
  for (const [line, options] of cases) {
    await t.step(line || "no arguments", () => {
      const args = line === "" ? [] : line.split(" ");
      assertEquals(parseCli(args), { type: "start", options: { ...defaults, ...options } });
    });
  }
});

Deno.test("help and version come before start", { permissions }, () => {
  for (
    const args of [["--help"], ["-h"], ["help"], ["help", "init"], ["start", "--help"], [
      "--help",
      "--port",
      "x",
    ], ["--help", "--version"]]
  ) {
    assertEquals(parseCli(args), { type: "help" });
  }
  for (const args of [["--version"], ["start", "-y", "--version"]]) {
    assertEquals(parseCli(args), { type: "version" });
  }
});

Deno.test("admin takes what a running server is asked for, and starts nothing", { permissions }, () => {
  assertEquals(parseCli(["admin"]), { type: "admin help", isAsked: false });
  assertEquals(parseCli(["admin", "--config-dir", "data"]), { type: "admin help", isAsked: false });
  for (const args of [["admin", "--help"], ["admin", "-h"], ["admin", "help"], ["admin", "stop", "-h"]]) {
    assertEquals(parseCli(args), { type: "admin help", isAsked: true });
  }
  for (const args of [["status", "--json"], ["top"], ["reload"], ["log-level", "debug"], ["stop"]]) {
    assertEquals(parseCli(["admin", ...args]), parseCli(args));
  }
  for (const word of ["start", "init", "delete", "verify", "export", "cluster", "worker", "admin", "x"]) {
    const message = `unknown command admin ${word}`;
    assertEquals(parseCli(["admin", word]), { type: "error", message });
  }
  for (const name of ["status", "top", "reload", "log-level LEVEL", "stop"]) {
    assertStringIncludes(adminHelpText, `\n  ${name} `);
  }
});

Deno.test("the help tells of every option, its default and start", { permissions }, () => {
  const told = ["start", "init", "delete", "verify", "export DIR", "import DIR", "-y, --yes", "--config-dir"];
  told.push("status", "top", "reload", "log-level LEVEL", "stop");
  told.push(
    "--log-dir",
    "--host",
    "--port",
    "--ws-port",
    "-l, --store-log",
    "--repair",
    "--help",
    "--version",
  );
  for (const text of [...told, defaults.configDir, defaults.logDir, "::", "5223", ...environmentNames]) {
    assertStringIncludes(helpText, text);
  }
});

/** The message for what cannot be understood. */
function errorOf(args: string[]): string {
  const command = parseCli(args);
  assert(command.type === "error", `${args.join(" ")} was taken as ${command.type}`);
  assert(!command.message.includes("\n"));
  return command.message;
}

Deno.test("what a running server is asked for is read", { permissions }, () => {
  const options = { ...defaults, configDir: "x" };
  for (
    const [line, task] of [
      ["status --config-dir x", { type: "status", isJson: false }],
      ["--config-dir x status --json", { type: "status", isJson: true }],
      ["top --config-dir x", { type: "top" }],
      ["reload --config-dir x", { type: "reload" }],
      ["stop --config-dir x", { type: "stop" }],
      ["log-level debug --config-dir x", { type: "log-level", level: "debug" }],
    ] as const
  ) {
    assertEquals(parseCli(line.split(" ")), { type: "administer", options, task });
  }
  assertEquals(errorOf(["log-level"]), "log-level needs one of error, warn, info, debug");
  assertEquals(errorOf(["log-level", "loud"]), "log-level needs one of error, warn, info, debug");
  assertEquals(errorOf(["reload", "--json"]), "reload does not take --json");
});

Deno.test("what is not known is told by its name", { permissions }, async (t) => {
  const options = [
    "--bogus",
    "--bogus=1",
    "-x",
    "-yx",
    "-port",
    "--PORT",
    "--no-yes",
    "--host.x",
    "--__proto__",
    "--__proto__.port",
    "--constructor",
    "--toString=1",
  ];
  for (const option of options) {
    await t.step(option, () => {
      assertEquals(errorOf([option]), `unknown option ${option}`);
      assertEquals(errorOf(["start", option, "--port", "1"]), `unknown option ${option}`);
    });
  }
  for (const word of ["stopp", "1", "-"]) {
    await t.step(word, () => assertEquals(errorOf([word]), `unknown command ${word}`));
  }
  for (
    const words of [
      "status x",
      "stop x",
      "log-level info x",
      "start start",
      "start stop",
      "init x",
      "verify x",
      "delete x",
      "export a b",
      "import a b",
    ]
  ) {
    const [command, ...rest] = words.split(" ");
    await t.step(
      words,
      () => assertEquals(errorOf(words.split(" ")), `${command} does not take ${rest.at(-1)}`),
    );
  }
  await t.step("an empty word", () => assert(errorOf([""])));
});

Deno.test("a value that cannot be is told with its option", { permissions }, async (t) => {
  const bad = [
    "x",
    "65536",
    "99999",
    "100000",
    "1.5",
    "1e3",
    "0x10",
    " 5",
    "5 ",
    "+5",
    "٣",
    "5223,5224",
    "Infinity",
  ];
  for (const name of ["port", "ws-port"]) {
    for (const value of bad) {
      await t.step(`--${name} ${value}`, () => {
        const message = `--${name} ${value} is not a number from 0 to 65535`;
        assertEquals([errorOf([`--${name}`, value]), errorOf([`--${name}=${value}`])], [message, message]);
      });
    }
    await t.step(`--${name} -1`, () => {
      assert(errorOf([`--${name}=-1`]).startsWith(`--${name} -1 `));
      errorOf([`--${name}`, "-1"]);
    });
  }
  for (const name of ["config-dir", "log-dir", "host", "port", "ws-port"]) {
    await t.step(`--${name} without a value`, () => {
      const message = `--${name} needs a value`;
      assertEquals(errorOf([`--${name}`]), message);
      assertEquals(errorOf([`--${name}=`]), message);
      assertEquals(errorOf([`--${name}`, "--yes"]), message);
      errorOf([`--${name}`, ""]);
    });
  }
});

Deno.test("an option given more than once is told", { permissions }, async (t) => {
  for (
    const [name, value] of [["config-dir", "a"], ["host", "a"], ["port", "1"], ["ws-port", "1"]] as const
  ) {
    await t.step(`--${name}`, () => {
      const message = `--${name} is given more than once`;
      assertEquals(errorOf([`--${name}`, value, `--${name}`, value]), message);
      assertEquals(errorOf([`--${name}=${value}`, "start", `--${name}=${value}`]), message);
    });
  }
});

Deno.test("an option that takes no value refuses one", { permissions }, async (t) => {
  for (const arg of ["--yes=maybe", "-y1", "-l1", "--store-log=on", "--repair=1"]) {
    await t.step(arg, () => assert(errorOf([arg])));
  }
});

Deno.test("parseCli never throws", { permissions }, async (t) => {
  // cli.ts: Never throws: what is wrong is a value
  for (
    const args of [["--_", "x"], ["--_=5"], ["--_"], ["--"], ["-="], ["--="], ["---"], ["--=x"], ["-_"], [
      "-.",
    ], [""]]
  ) {
    await t.step(args.join(" "), () => assert(parseCli(args).type));
  }
});

Deno.test(
  "the other commands take the directories, -y, and what of start concerns them",
  { permissions },
  () => {
    const options = { ...defaults, yes: true, configDir: "c", logDir: "l" };
    const given = ["-y", "--config-dir", "c", "--log-dir", "l"];
    const withLog = { ...options, storeLog: true };
    for (const type of ["delete", "verify"] as const) {
      assertEquals(parseCli([type, ...given]), { type, options });
    }
    for (const type of ["export", "import"] as const) {
      const task = { type, directory: "dir" };
      assertEquals(parseCli(["cluster", type, "dir", "--config-dir", "c", "--log-dir", "l", "-y"]), {
        type: "cluster",
        options,
        task,
      });
      assertEquals(errorOf(["cluster", type]), `cluster ${type} needs a directory`);
      assertEquals(errorOf(["cluster", type, "a", "b"]), `cluster ${type} does not take b`);
      assertEquals(errorOf(["cluster", type, "a", "--json"]), `cluster ${type} does not take --json`);
    }
    for (const type of ["export", "import"] as const) {
      assertEquals(parseCli([type, ...given, "dir"]), { type, options, directory: "dir" });
      assertEquals(errorOf([type]), `${type} needs a directory`);
      assertEquals(errorOf([type, ""]), `${type} needs a directory`);
    }
    assertEquals(parseCli(["verify", "-l", ...given]), { type: "verify", options: withLog });
    const directory = "dir";
    assertEquals(parseCli(["export", "-l", ...given, directory]), {
      type: "export",
      options: withLog,
      directory,
    });
    for (const type of ["delete", "verify", "export", "import"]) {
      for (const option of ["--host=h", "--port=1", "--ws-port=1", "--repair"]) {
        assertEquals(errorOf([type, option]), `${type} does not take ${option.replace(/=.*/, "")}`);
      }
    }
    for (const type of ["delete", "import"]) {
      assertEquals(
        errorOf([type, "-l"]),
        `${type} does not take --store-log`,
      );
    }
    assertEquals(errorOf(["init", "--repair"]), "init does not take --repair");
  },
);

Deno.test("what init is given is for the ini, what the environment says is not", { permissions }, () => {
  const settings = { host: "h", port: 1, webSocketPort: 2, storeLog: true };
  const args = ["init", "-l", "--host", "h", "--port", "1", "--ws-port", "2"];
  assertEquals(parseCli(args), { type: "init", options: { ...defaults, ...settings }, settings });
  const environment = { SMP_HOST: "other", SMP_PORT: "3" };
  assertEquals(parseCli(args, environment), {
    type: "init",
    options: { ...defaults, ...settings },
    settings,
  });
  assertEquals(parseCli(["init"], environment), {
    type: "init",
    options: { ...defaults, host: "other", port: 3 },
    settings: {},
  });
  assertEquals(errorOf(["init", "--host", "a\n[b]"]), 'the host "a [b]" has spaces');
});

Deno.test("the environment counts where the command line says nothing", { permissions }, () => {
  const environment = {
    SMP_CONFIG_DIR: "c",
    SMP_LOG_DIR: "l",
    SMP_HOST: "h",
    SMP_PORT: "1",
    SMP_WS_PORT: "2",
    SMP_STORE_LOG: "off",
  };
  const fromEnvironment = {
    configDir: "c",
    logDir: "l",
    host: "h",
    port: 1,
    webSocketPort: 2,
    storeLog: false,
  };
  const options = { ...defaults, ...fromEnvironment };
  assertEquals(parseCli([], environment), { type: "start", options });
  const args = ["--config-dir=C", "--log-dir=L", "--host=H", "--port=3", "--ws-port=4", "-l"];
  const fromArgs = { configDir: "C", logDir: "L", host: "H", port: 3, webSocketPort: 4, storeLog: true };
  assertEquals(parseCli(args, environment), { type: "start", options: { ...defaults, ...fromArgs } });
  const empty = Object.fromEntries(environmentNames.map((name) => [name, ""]));
  assertEquals(parseCli([], empty), { type: "start", options: defaults });
  // Other commands are not disturbed by what is meant for start.
  assert(parseCli(["verify"], environment).type === "verify");
});

Deno.test("a value of the environment that cannot be is told with its variable", { permissions }, () => {
  for (const [name, value] of [["SMP_PORT", "x"], ["SMP_WS_PORT", "65536"], ["SMP_STORE_LOG", "maybe"]]) {
    const command = parseCli([], { [name!]: value! });
    assert(command.type === "error");
    assertStringIncludes(command.message, `${name} ${value} is not `);
  }
});
