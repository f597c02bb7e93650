import { assertEquals } from "@std/assert";
import { asciiText, joinParts } from "../../protocol/bytes.ts";
import { type Command, commandParts, isClientCommand, parseCommand } from "../../protocol/command.ts";
import { parsePublicKeyText, smpErrorCodes } from "../../protocol/mod.ts";
import { rsaVector } from "../support/vectors.ts";

const { text } = rsaVector("rsa1024");
const key = parsePublicKeyText(text);
const bigText = rsaVector("rsa2048BigExponent").text;
const timestamp = new Date("2021-05-09T09:36:08.123Z");

/** Every command and response, with what it is on the wire without the space that ends it. */
const table: readonly [encoded: string, command: Command][] = [
  [`NEW ${text}`, { type: "NEW", recipientKey: key }],
  [`NEW ${bigText}`, { type: "NEW", recipientKey: parsePublicKeyText(bigText) }],
  ["SUB", { type: "SUB" }],
  [`KEY ${text}`, { type: "KEY", senderKey: key }],
  ["ACK", { type: "ACK" }],
  ["OFF", { type: "OFF" }],
  ["DEL", { type: "DEL" }],
  ["SEND 5 hello ", { type: "SEND", body: latin1("hello") }],
  ["SEND 0  ", { type: "SEND", body: latin1("") }],
  ["SEND 11  a  b\n\r\0\xff## ", { type: "SEND", body: latin1(" a  b\n\r\0\xff##") }],
  ["PING", { type: "PING" }],
  ["OPEN YmluZGluZw==", { type: "OPEN", binding: "YmluZGluZw==" }],
  ["SUBN 1", { type: "SUBN", window: 1 }],
  ["SUBN 128", { type: "SUBN", window: 128 }],
  ["ACKM bXNn", { type: "ACKM", messageId: "bXNn" }],
  ["PASS AAEC", { type: "PASS", proof: Uint8Array.of(0, 1, 2) }],
  ["REKEY AAEC", { type: "REKEY", payload: Uint8Array.of(0, 1, 2) }],
  ["IDS AAAA /+8=", { type: "IDS", recipientId: "AAAA", senderId: "/+8=" }],
  ["MSG bXNn 2021-05-09T09:36:08.123Z 5 hello ", msg(timestamp, "hello")],
  ["MSG bXNn 0000-01-01T00:00:00.000Z 2 \xff  ", msg(new Date("0000-01-01T00:00:00Z"), "\xff ")],
  ["END", { type: "END" }],
  ["OK", { type: "OK" }],
  ["PONG", { type: "PONG" }],
  ...smpErrorCodes.map((error): [string, Command] => [`ERR ${error}`, { type: "ERR", error }]),
];

function msg(timestamp: Date, body: string): Command {
  return { type: "MSG", messageId: "bXNn", timestamp, body: latin1(body) };
}

function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function parse(text: string): Command | null {
  return parseCommand(latin1(text), 0)?.command ?? null;
}

// smp.md Commands
Deno.test("Every command and response is encoded byte for byte as the spec writes it", {
  permissions: "none",
}, () => {
  for (const [encoded, command] of table) assertEquals(asciiText(joinParts(commandParts(command))), encoded);
});

Deno.test("Every command and response is read back up to the space that ends it", {
  permissions: "none",
}, () => {
  for (const [encoded, command] of table) {
    for (const rest of ["", "###", " OK ", "\0", " "]) {
      const content = `xyz${encoded} ${rest}`;
      assertEquals(parseCommand(latin1(content), 3), { command, end: 3 + encoded.length + 1 }, content);
    }
  }
});

// smp.md Transmission, 3
Deno.test("A command without the space that ends it is none", { permissions: "none" }, () => {
  for (const [encoded] of table) {
    assertEquals(parse(encoded), null, `${encoded} at the end`);
    assertEquals(parse(`${encoded}#`), null, `${encoded} before padding`);
    assertEquals(parse(`${encoded}\n`), null, `${encoded} before a line feed`);
  }
});

Deno.test("Clients send the first thirteen commands, servers the rest", { permissions: "none" }, () => {
  const client = table.map(([, command]) => command).filter(isClientCommand).map(({ type }) => type);
  const of03 = ["NEW", "SUB", "KEY", "ACK", "OFF", "DEL", "SEND", "PING"];
  assertEquals([...new Set(client)], [...of03, "OPEN", "SUBN", "ACKM", "PASS", "REKEY"]);
});

// extensions.md window1
Deno.test("A window is a number from 1 to 128, of at most three digits", { permissions: "none" }, () => {
  for (let window = 0; window <= 1000; window++) {
    const expected = window >= 1 && window <= 128 ? { type: "SUBN" as const, window } : null;
    assertEquals(parse(`SUBN ${window} `), expected, `${window}`);
  }
  for (const text of ["05", "005"]) assertEquals(parse(`SUBN ${text} `), { type: "SUBN", window: 5 }, text);
  for (const text of ["0005", "000", "0".repeat(4000), "9".repeat(4000), "18446744073709551617"]) {
    assertEquals(parse(`SUBN ${text} `), null, text.slice(0, 20));
  }
});

// extensions.md rekey1: a payload that is none still is a REKEY, whose answer ends the session
Deno.test("A REKEY has a payload of no bytes where there is no base64", { permissions: "none" }, () => {
  for (const text of ["", "A", "AAA", "!!!!", "AAAA=", "rsa:AAAA"]) {
    assertEquals(parse(`REKEY ${text} `), { type: "REKEY", payload: new Uint8Array(0) }, text);
  }
  for (const text of ["REKEY", "REKEY ", "REKEY AAAA", "REKEYS AAAA ", "rekey AAAA "]) {
    assertEquals(parse(text), null, text);
  }
});

// extensions.md pass1
Deno.test("A PASS has a proof of no bytes where there is no base64", { permissions: "none" }, () => {
  for (const text of ["", "A", "!!!!", "AAAA=", "rsa:AAAA"]) {
    assertEquals(parse(`PASS ${text} `), { type: "PASS", proof: new Uint8Array(0) }, text);
  }
  for (const text of ["PASS", "PASS ", "PASS AAAA", "PASSS AAAA ", "pass AAAA "]) {
    assertEquals(parse(text), null, text);
  }
});

Deno.test("The size of a body may have leading zeros", { permissions: "none" }, () => {
  const command: Command = { type: "SEND", body: latin1("hello") };
  for (const zeros of ["0", "00", "0".repeat(4000)]) assertEquals(parse(`SEND ${zeros}5 hello  `), command);
});

// smp.md Transmission, 3
Deno.test("What is not a command does not parse", { permissions: "none" }, () => {
  const stamp = "2021-05-09T09:36:08.123Z";
  const wrong = [
    [
      "no such name",
      "",
      " ",
      "sub ",
      "Sub ",
      "SUBS ",
      "SU ",
      "SUBSCRIBE ",
      "HELLO ",
      "\0 ",
      "SUB\n ",
      "__proto__ ",
    ],
    ["two spaces after the name", `NEW  ${text} `, `KEY  ${text} `, "SEND  5 hello  ", "IDS  AAAA AAAA "],
    ["no key", "NEW ", "NEW  ", "NEW", "KEY rsa: ", "NEW rsa:* ", "NEW rsa:AAAA ", `NEW ${text.slice(4)} `],
    [
      "another key name",
      `NEW RSA:${text.slice(4)} `,
      `NEW dsa:${text.slice(4)} `,
      `KEY rsa${text.slice(4)} `,
    ],
    ["a broken key", `NEW ${text.slice(0, -4)} `, `KEY ${text}AAAA `, `NEW ${text.slice(0, -1)} `],
    [
      "no size",
      "SEND ",
      "SEND hello  ",
      "SEND    ",
      "SEND  hello  ",
      "SEND  ",
      "MSG AAAA ",
      `MSG AAAA ${stamp} hello  `,
    ],
    [
      "a size that is no decimal number",
      "SEND +5 hello  ",
      "SEND -5 hello  ",
      "SEND 5. hello  ",
      "SEND 0x5 hello  ",
    ],
    [
      "a size that is no decimal number",
      "SEND 5e0 hello  ",
      "SEND \xb5 hello  ",
      "SEND 5\n hello  ",
      "SEND : 0123456789  ",
    ],
    ["a size that is too large", "SEND 6 hello  ", "SEND 7 hello  ", "SEND 8 hello  ", "SEND 99 hello  "],
    ["a size beyond all numbers", `SEND ${"9".repeat(400)} hello  `, "SEND 18446744073709551621 hello  "],
    ["a size that is too small", "SEND 4 hello  ", "SEND 0 hello  "],
    ["no space after the body", "SEND 5 hello", "SEND 5 hello#", "SEND 5 hello# ", "SEND 5 hello\n "],
    ["no space after the body's space", "SEND 5 hello ", "SEND 5 hello #", "SEND 5 hello ###  "],
    ["no space after the body's space", `MSG AAAA ${stamp} 5 hello `, `MSG AAAA ${stamp} 5 hello #`],
    ["IDs missing or not base64", "IDS AAAA ", "IDS AAAA  ", "IDS AAA AAAA ", "IDS AAAA A*AA ", "IDS "],
    ["a message ID that is not base64", `MSG  ${stamp} 5 hello  `, `MSG AA ${stamp} 5 hello  `],
    [
      "no binding",
      "OPEN ",
      "OPEN  ",
      "OPEN",
      "OPEN AAAA",
      "OPEN A ",
      "OPEN *AAA ",
      "OPEN AB== ",
      "OPEN\nAAAA ",
    ],
    [
      "no message ID",
      "ACKM ",
      "ACKM  ",
      "ACKM",
      "ACKM AAAA",
      "ACKM A ",
      "ACKM *AAA ",
      "ACKM AB== ",
      "ACKMAAAA ",
    ],
    ["no window", "SUBN ", "SUBN  ", "SUBN", "SUBN 5", "SUBN  5 ", "SUBN x ", "SUBN 5x ", "SUBN 5\n "],
    [
      "no window",
      "SUBN +5 ",
      "SUBN -1 ",
      "SUBN 5. ",
      "SUBN 0x5 ",
      "SUBN 5e0 ",
      "SUBN \xb5 ",
      "SUBN : ",
      "SUBN5 ",
    ],
    ["no known error", "ERR ", "ERR  ", "ERR auth ", "ERR CMD ", "ERR CMD", "ERR CMD null ", "ERR CMD AUTH "],
    ["no known error", "ERR AUTHORIZATION ", "ERR CMD PROHIBITED_ ", "ERR SYNTAX ", "ERR CMD  SYNTAX "],
  ];
  for (const [why, ...texts] of wrong) {
    for (const text of texts) assertEquals(parse(text), null, `${why}: ${JSON.stringify(text)}`);
  }
});

Deno.test("A timestamp is ISO 8601 in UTC and an instant that exists", { permissions: "none" }, () => {
  const stamped = (stamp: string) => parse(`MSG bXNn ${stamp} 5 hello  `);
  const right = {
    "2021-05-09T09:36:08.123Z": "2021-05-09T09:36:08.123Z",
    "2021-05-09T09:36:08Z": "2021-05-09T09:36:08.000Z",
    "2021-05-09T09:36:08.1Z": "2021-05-09T09:36:08.100Z",
    "2021-05-09T09:36:08.123999999999Z": "2021-05-09T09:36:08.123Z",
    "2024-02-29T23:59:59.999Z": "2024-02-29T23:59:59.999Z",
  };
  for (const [stamp, date] of Object.entries(right)) {
    assertEquals(stamped(stamp), msg(new Date(date), "hello"));
  }
  const wrong = ["", "2021-05-09", "2021-05-09T09:36:08.123", "2021-05-09T09:36:08.123+00:00", "now"];
  wrong.push(
    "2021-02-29T00:00:00.000Z",
    "2021-02-30T00:00:00Z",
    "2021-13-01T00:00:00Z",
    "2021-05-09T24:00:00Z",
  );
  wrong.push("2021-05-09T09:60:08Z", "2021-05-09T09:36:60Z", "2021-05-09t09:36:08z", "2021-05-09T09:36:08.Z");
  wrong.push("12021-05-09T09:36:08Z", "+12021-05-09T09:36:08Z", `2021-05-09T09:36:08.${"1".repeat(60)}Z`);
  for (const stamp of wrong) assertEquals(stamped(stamp), null, stamp);
});

Deno.test(
  "A body is a copy, unless it is a SEND that fills its block: no message keeps much more memory than it has bytes",
  {
    permissions: "none",
  },
  () => {
    const block = 4080;
    const kept = (text: string) => {
      const command = parseCommand(latin1(text.padEnd(block, "#")), 0)?.command;
      return command?.type === "SEND" || command?.type === "MSG" ? command.body.buffer.byteLength : null;
    };
    const send = (length: number) => kept(`SEND ${length} ${"x".repeat(length)}  `);
    assertEquals([5, 3000, 3569, 3570, 4000].map(send), [5, 3000, 3569, block, block]);
    assertEquals(kept(`MSG QUJD 2021-05-09T09:36:08.123Z 4000 ${"x".repeat(4000)}  `), 4000);
  },
);
