import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { defaultConfig, type ServerConfig } from "../../../server/config/config.ts";
import { ConfigError, defaultIni, parseConfig } from "../../../server/config/config_file.ts";
import { parseIni } from "../../../server/config/ini.ts";
import { defaultLimits, type Limits, limitTable } from "../../../server/config/limits.ts";

const permissions = "none";
const directories = { configDir: "/c", logDir: "/l" };
const file = "/c/smp-server.ini";
const { extensions } = defaultConfig(directories);

function parse(text: string) {
  return parseConfig(text, file, directories);
}

/** What an ini changes of the defaults. */
function changed(text: string): Partial<ServerConfig> {
  const { config, warnings } = parse(text);
  assertEquals(warnings, []);
  const defaults = new Map<string, unknown>(Object.entries(defaultConfig(directories)));
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const entries = Object.entries(config).filter(([name, value]) => !isSame(defaults.get(name), value));
  return Object.fromEntries(entries.filter(([name]) => name !== "limits"));
}

Deno.test("an ini that says nothing leaves the defaults", { permissions }, () => {
  for (const text of ["", "\n\n", "# x\n; y\n", "[STORE_LOG]\n[TRANSPORT]"]) {
    assertEquals(parse(text), { config: defaultConfig(directories), warnings: [], missedStoreLog: null });
  }
});

Deno.test("with workers queues and messages are kept, unless the ini says otherwise", { permissions }, () => {
  const read = (text: string) => parseConfig(text, file, { ...directories, workers: 0 }).config;
  const { storeLog, messages, ...others } = read("");
  assertEquals([storeLog, messages], [true, "journal"]);
  assertEquals({ ...others, storeLog: false, messages: "memory" as const }, defaultConfig(directories));
  assertEquals(read("[STORE_LOG]\nenable: off\nmessages: memory\n"), defaultConfig(directories));
});

Deno.test("every key is read", { permissions }, () => {
  const cases: readonly (readonly [string, string, Partial<ServerConfig>])[] = [
    ["STORE_LOG", "enable: on", { storeLog: true }],
    ["STORE_LOG", "file: /x", { storeLogFile: "/x" }],
    ["STORE_LOG", "fsync: always", { fsync: "always" }],
    ["STORE_LOG", "fsync: off", { fsync: "off" }],
    ["STORE_LOG", "fsync_interval_ms: 20", { fsyncInterval: 20 }],
    ["STORE_LOG", "messages: journal", { messages: "journal" }],
    ["STORE_LOG", "messages_file: /m", { messagesFile: "/m" }],
    ["STORE_LOG", "restore_messages: off", { restoreMessages: false }],
    ["TRANSPORT", "key_file: /k", { keyFile: "/k" }],
    ["TRANSPORT", "host: ::1", { host: "::1" }],
    ["TRANSPORT", "host: [::1]", { host: "::1" }],
    ["TRANSPORT", "host: [0::]", {}],
    ["TRANSPORT", "host: fe80::1%eth0", { host: "fe80::1%eth0" }],
    ["TRANSPORT", "public_host: smp.example.org", { publicHost: "smp.example.org" }],
    ["TRANSPORT", "public_host: [2001:db8::1]", { publicHost: "2001:db8::1" }],
    ["TRANSPORT", "public_host: 2001:db8::1", { publicHost: "2001:db8::1" }],
    ["TRANSPORT", "public_host: 2001:DB8::0001", { publicHost: "2001:db8::1" }],
    ["TRANSPORT", "port: 1", { port: 1 }],
    ["TRANSPORT", "websockets: 80", { webSocketPort: 80 }],
    ["TRANSPORT", "tls_cert: /c", { tlsCert: "/c" }],
    ["TRANSPORT", "tls_key: /k", { tlsKey: "/k" }],
    ["TRANSPORT", "tls_port: 8443", { tlsPort: 8443 }],
    ["TRANSPORT", "trust_forwarded_for: on", { trustForwardedFor: true }],
    ["ACCESS", "create: 10.0.0.0/8 , ::1", { create: ["10.0.0.0/8", "::1"] }],
    ["EXTENSIONS", "open1: off", { extensions: { ...extensions, open1: false } }],
    ["EXTENSIONS", "window1: off", { extensions: { ...extensions, window1: false } }],
    ["EXTENSIONS", "blocks1: off", { extensions: { ...extensions, blocks1: false } }],
    ["EXTENSIONS", "rekey1: off", { extensions: { ...extensions, rekey1: false } }],
    ["METRICS", "port: 0", { metricsPort: 0 }],
    ["METRICS", "host: ::1", { metricsHost: "::1" }],
    ["METRICS", "hosts: smp, SMP.example", { metricsHosts: ["smp", "smp.example"] }],
    ["LOG", "level: debug", { logLevel: "debug" }],
    ["LOG", "log: json", { logFormat: "json" }],
    ["CLUSTER", "servers: nats://a:1,b", { clusterServers: "nats://a:1,b" }],
    ["CLUSTER", "node: a", { clusterNode: "a" }],
    ["CLUSTER", "name: x", { clusterName: "x" }],
    ["CLUSTER", "partitions: 16", { clusterPartitions: 16 }],
    ["CLUSTER", "user: u", { clusterUser: "u" }],
    ["CLUSTER", "password: p", { clusterPassword: "p" }],
    ["CLUSTER", "nkey_file: /n", { clusterNkeyFile: "/n" }],
    ["CLUSTER", "ca_file: /c", { clusterCaFile: "/c" }],
    ["CLUSTER", "insecure: on", { clusterInsecure: true }],
  ];
  for (const [section, line, expected] of cases) {
    const spellings = [
      line,
      line.replace(": ", " = "),
      line.replace(": ", "="),
      ` ${line.replace(": ", ":")} `,
    ];
    for (const one of spellings) assertEquals(changed(`[${section}]\n${one}\n`), expected);
    assertEquals(changed(`\uFEFF[ ${section.toLowerCase()} ]\r\n${line}\r\n`), expected);
  }
  // A password alone is not used, which is said.
  assertEquals(parse("[ACCESS]\npassword: p#=:@1\n").config.createPassword, "p#=:@1");
  const keys = new Set(cases.map(([section, line]) => `${section} ${line.split(":")[0]}`));
  assertEquals(
    defaultIni(directories).match(/^# [a-z_0-9]+: /gm)!.length,
    keys.size + 1 + Object.keys(limitTable).length,
  );
});

Deno.test(
  "who may create queues is anyone, or a list with a password that must be there",
  { permissions },
  () => {
    const access = (create: string, password?: string) =>
      parse(`[ACCESS]\ncreate: ${create}\n${password === undefined ? "" : `password: ${password}\n`}`);
    const { config, warnings } = access("PASSWORD, 127.0.0.1", "a-long:one");
    assertEquals([config.create, config.createPassword], [["password", "127.0.0.1"], "a-long:one"]);
    assertEquals([warnings, access("Anyone").config.create], [[], ["anyone"]]);
    const line = `${file}: line 2: `;
    const unused = "the password is not used: create does not name it";
    for (const create of ["anyone", "::1"]) assertEquals(access(create, "p").warnings, [line + unused]);
    const missing = assertThrows(() => access("password"), ConfigError);
    assertEquals(missing.message, `${line}create wants a password, and there is no password in [ACCESS]`);
    for (
      const bad of ["", "anyone, password", "anyone, ::1", "nobody", "::1,", "10.0.0.0/33", "example.org"]
    ) {
      const error = assertThrows(() => access(bad, "p"), ConfigError);
      assertStringIncludes(
        error.message,
        `${line}create must be anyone, or a list of password, IP addresses`,
      );
    }
  },
);

Deno.test("what is wrong with a password is said without it", { permissions }, () => {
  for (const secret of ["se cret", "s\u00e9cret", "secret".repeat(50)]) {
    const text = `[ACCESS]\ncreate: password\npassword: ${secret}\n`;
    const error = assertThrows(() => parse(text), ConfigError, "password must be 1 to 256 printable");
    assert(!/cret/.test(error.message), error.message);
    // Where somebody has written it in the place of the word.
    const misplaced = assertThrows(
      () => parse(`[ACCESS]\ncreate: ${secret}\n`),
      ConfigError,
      "create must be",
    );
    assert(!/cret/.test(misplaced.message), misplaced.message);
  }
  const slip = assertThrows(
    () => parse("[ACCESS]\npasword: secret\n"),
    ConfigError,
    "did you mean password?",
  );
  assert(!slip.message.includes("secret"));
  const twice = parse("[ACCESS]\ncreate: password\npassword: secret\npassword: secret2\n");
  assertEquals([twice.warnings.length, twice.warnings.join().includes("secret")], [1, false]);
});

Deno.test("every limit is read in its unit", { permissions }, () => {
  const factors = { count: 1, seconds: 1000, minutes: 60_000, days: 86_400_000, MiB: 2 ** 20, "on/off": 1 };
  for (const [name, { key, unit, zeroIsNone }] of Object.entries(limitTable)) {
    const set = (value: string) => parse(`[LIMITS]\n${key}: ${value}`).config.limits;
    const with_ = (value: number) => ({ ...defaultLimits, [name]: value });
    if (unit === "on/off") {
      assertEquals([set("off"), set("on")], [with_(0), with_(1)]);
      continue;
    }
    assertEquals(set("7"), with_(7 * factors[unit]));
    if (zeroIsNone) assertEquals(set("0"), with_(0));
    for (const bad of ["", "-1", "1.5", "x", "1e3", "9".repeat(30), ...(zeroIsNone ? [] : ["0"])]) {
      const error = assertThrows(() => set(bad), ConfigError);
      assertStringIncludes(error.message, `${file}: line 2: ${key} must be a whole number from `);
    }
  }
  const several = parse("[LIMITS]\nconnections: 1\nin_work: 2").config.limits;
  assertEquals(several, { ...defaultLimits, connections: 1, inWork: 2 } satisfies Limits);
});

Deno.test("the ini of the first start has every key with a comment, and changes nothing", {
  permissions,
}, () => {
  const text = defaultIni(directories);
  assertEquals(parse(text), { config: defaultConfig(directories), warnings: [], missedStoreLog: null });
  // smp.md Server files: a commented-out `# enable: on` under [STORE_LOG]
  assert(/^\[STORE_LOG\]\n## [^\n]+\n# enable: on$/m.test(text));
  const keys = text.match(/^## \S[^\n]*\n# [a-z_0-9]+: /gm)!;
  assertEquals(keys.length, text.match(/^# /gm)!.length);
});

Deno.test("what the ini shows is the default, unless its comment gives the default: then it is an example", {
  permissions,
}, () => {
  const lines = defaultIni(directories).split("\n");
  let section = "";
  const examples = new Map<string, string>();
  for (const [i, line] of lines.entries()) {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const [, active, key] = /^# (([a-z_0-9]+): .*)$/.exec(line) ?? [];
    if (key === undefined) continue;
    const { config, warnings } = parse(`[${section}]\n${active}\n`);
    const isUnused = section === "ACCESS" && key === "password";
    assertEquals(warnings.length, isUnused ? 1 : 0);
    const usual = / \(default: (.*)\)$/.exec(lines[i - 1]!)?.[1];
    if (usual === undefined) {
      assertEquals(config, defaultConfig(directories), key);
      continue;
    }
    assertThrows(() => assertEquals(config, defaultConfig(directories)), Error);
    examples.set(`${section} ${key}`, usual);
    if (usual === "none") continue;
    assertEquals(parse(`[${section}]\n${key}: ${usual}\n`).config, defaultConfig(directories), key);
  }
  assertEquals(Object.fromEntries(examples), {
    "STORE_LOG enable": "off",
    "TRANSPORT public_host": "none",
    "TRANSPORT tls_cert": "none",
    "TRANSPORT tls_key": "none",
    "TRANSPORT websockets": "none",
    "ACCESS create": "anyone",
    "ACCESS password": "none",
    "METRICS port": "none",
    "CLUSTER servers": "none",
    "CLUSTER node": "none",
    "CLUSTER user": "none",
    "CLUSTER password": "none",
    "CLUSTER nkey_file": "none",
    "CLUSTER ca_file": "none",
    "METRICS hosts": "none",
  });
});

Deno.test("a setting that is given stands in the ini, and only there is it not commented out", {
  permissions,
}, () => {
  const given = { host: "::1", port: 1, webSocketPort: 0, storeLog: false };
  const text = defaultIni(directories, given);
  const active = text.split("\n").filter((line) => /^[^#[]/.test(line));
  assertEquals(active, ["enable: off", "host: ::1", "port: 1", "websockets: 0"]);
  assertEquals(parse(text).config, { ...defaultConfig(directories), ...given });
});

Deno.test("unknown and repeated keys are warnings with their lines", { permissions }, () => {
  const text = "port: 1\n[TRANSPORT]\nport: 2\nbogus: 1\nport: 3\n[BOGUS]\nport: 4\n__proto__: 1\n";
  const { config, warnings } = parse(text);
  assertEquals(config.port, 3);
  const where = warnings.map((warning) => Number(/line (\d+):/.exec(warning)![1]));
  assertEquals(where, [1, 4, 5, 7, 8]);
  for (const warning of warnings) assert(warning.startsWith(`${file}: line `));
});

Deno.test("a key that is like one, or in a section like one, is told with what was perhaps meant", {
  permissions,
}, () => {
  const cases = [
    ["[LIMITS]\nwrite_time_seconds: 1", "write_timeout_seconds"],
    ["[TRANSPORT]\nenable: on", "[STORE_LOG] enable"],
    ["[STORE_LOG]\nport: 1", "[TRANSPORT] port or [METRICS] port"],
    ["port: 1", "[TRANSPORT] port or [METRICS] port"],
    ["[STORE_LOG]\nsomething: else", null],
    ["[BOGUS]\n__proto__: 1", null],
    [`[BOGUS]\n${"port".repeat(1000)}: 1`, null],
  ] as const;
  for (const [text, meant] of cases) {
    const { config, warnings: [warning = "", ...more] } = parse(`${text}\n`);
    assertEquals([config, more], [defaultConfig(directories), []]);
    assert(/line [12]: there is no key \S+ .*, it is ignored/.test(warning), warning);
    assertEquals(/; did you mean (.*)\?$/.exec(warning)?.[1] ?? null, meant, text);
  }
});

Deno.test("a key that differs from one by a slip is an error, and names that one", { permissions }, () => {
  const cases = [
    ["[STORE_LOG]\nenabel: on", "enabel in [STORE_LOG]; did you mean enable?"],
    ["[STORE_LOG]\nenabled: on", "enabled in [STORE_LOG]; did you mean enable?"],
    ["[STORELOG]\nenable: on", "enable in [STORELOG]; did you mean [STORE_LOG] enable?"],
    ["[store-log]\nenabel: on", "enabel in [store-log]; did you mean [STORE_LOG] enable?"],
    ["[LOGS]\nlevle: debug", "levle in [LOGS]; did you mean [LOG] level?"],
    ["[TRANSPORT]\nwebsocket: 80", "websocket in [TRANSPORT]; did you mean websockets?"],
    ["[TRANSPORT]\nprot: 80", "prot in [TRANSPORT]; did you mean port?"],
    ["[LIMITS]\nconnectionsPerIp: 1", "connectionsPerIp in [LIMITS]; did you mean connections_per_ip?"],
  ] as const;
  for (const [text, what] of cases) {
    const { message } = assertThrows(() => parse(`${text}\n`), ConfigError);
    assertEquals(message, `${file}: line 2: there is no key ${what}`);
  }
  // Two letters of a short word are another word.
  for (const text of ["[TRANSPORT]\ncoat: 1", "[LOG]\nfoo: 1", "[TRANSPORT]\npo: 1"]) {
    assertEquals(parse(`${text}\n`).warnings.length, 1);
  }
});

Deno.test("all bad values are told at once, with file, line and what is allowed", { permissions }, () => {
  const text =
    "[TRANSPORT]\nport: 99999\njunk\n[STORE_LOG]\nenable: maybe\nfsync: never\nfile:\n[LOG]\nlog: xml";
  const error = assertThrows(() => parse(text), ConfigError);
  assertEquals(error.message.split("\n"), [
    `${file}: line 2: port must be a number from 0 to 65535, not "99999"`,
    `${file}: line 3: it is not [SECTION], key: value or a comment`,
    `${file}: line 5: enable must be on or off, not "maybe"`,
    `${file}: line 6: fsync must be off or interval or always, not "never"`,
    `${file}: line 7: file must be a text that is not empty, not ""`,
    `${file}: line 9: log must be text or json, not "xml"`,
  ]);
});

Deno.test("the hosts of the metrics are names without ports and patterns", { permissions }, () => {
  const read = (hosts: string) => parse(`[METRICS]\nhosts: ${hosts}`).config.metricsHosts;
  assertEquals([read("a"), read("a,b_1 ,  C-2.d")], [["a"], ["a", "b_1", "c-2.d"]]);
  for (const bad of ["", ",", "a,", "a b", "a:9223", "*", "*.example", "http://a", "a/", "[::1]", "a..b"]) {
    assertStringIncludes(assertThrows(() => read(bad), ConfigError).message, "hosts must be host names");
  }
});

Deno.test("no text makes the reader throw anything but its error", { permissions }, () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "[LIMITS]",
      "[TRANSPORT]",
      "[",
      "=",
      ":",
      "port=1",
      "port: -1",
      "# x",
      "connections: 0",
      "[]",
    ),
  );
  fc.assert(fc.property(fc.array(line), (lines) => {
    const text = lines.join("\n");
    parseIni(text);
    try {
      parse(text);
    } catch (error) {
      assert(error instanceof ConfigError);
    }
  }));
});
