import { assert, assertEquals } from "@std/assert";
import { asciiText, joinParts } from "../../protocol/bytes.ts";
import {
  type ClientCommand,
  decodeClientTransmission,
  type Decoded,
  decodeServerTransmission,
  encodeBase64,
  encodeClientTransmission,
  encodeServerTransmission,
  encodeSigned,
  keySizes,
  type ListedExtension,
  parsePublicKeyText,
  serverExtensions,
  type ServerResponse,
  serverTransmissionLength,
  smpErrorCodes,
  unsignedTransmissionParts,
} from "../../protocol/mod.ts";
import { rsaVector } from "../support/vectors.ts";

const keyText = rsaVector("rsa1024").text;
const key = parsePublicKeyText(keyText);
const signatures = [new Uint8Array(0), ...keySizes.map((bits) => new Uint8Array(bits / 8).fill(7))];
const sig = encodeBase64(signatures[1]!);
const padding = "#".repeat(20);

function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** What a decoder says of a content that it refuses: error, corrId and queue ID. */
function refusal(decoded: Decoded<unknown>): string[] | "accepted" {
  return decoded.ok ? "accepted" : [decoded.error, asciiText(decoded.corrId), decoded.queueId];
}

/** Checks what a client is answered to a content. */
function assertRefused(content: string, ...expected: [error: string, corrId: string, queueId: string]): void {
  assertEquals(refusal(decodeClientTransmission(latin1(content))), expected, JSON.stringify(content));
}

// smp.md Transmission, 1
Deno.test(
  "A block without three spaces answers BLOCK without corrId and queue ID",
  { permissions: "none" },
  () => {
    for (const content of ["", "#", " ", "  ", "a b c", `${sig} 1 AAAA`, `${sig} 1`, " 1 PING", "\0\xff\n"]) {
      assertRefused(content + padding, "BLOCK", "", "");
      assertEquals(refusal(decodeServerTransmission(latin1(content + padding))), ["BLOCK", "", ""]);
    }
  },
);

// smp.md Transmission, 2
Deno.test("A signature or queue ID that cannot be answers BLOCK with corrId, without queue ID", {
  permissions: "none",
}, () => {
  const shorter = encodeBase64(new Uint8Array(127));
  const wrongSignatures = [
    "A",
    "*",
    "AAA",
    `${sig}=`,
    sig.slice(0, -1),
    `\xff${sig.slice(1)}`,
    "AAAA",
    shorter,
  ];
  for (const length of [1, 32, 64, 127, 129, 192, 255, 257, 320, 383, 511, 513, 1024]) {
    wrongSignatures.push(encodeBase64(new Uint8Array(length)));
  }
  for (const signature of wrongSignatures) {
    assertRefused(`${signature} 12 AAAA SUB ${padding}`, "BLOCK", "12", "");
    assertRefused(`${signature} 12 AAAA nonsense`, "BLOCK", "12", "");
    assertRefused(`${signature} 12  OK `, "BLOCK", "12", "");
  }
  for (const queueId of ["A", "AA", "AAA", "AAAA=", "====", "A*AA", "\0\0\0\0", "AB=="]) {
    assertRefused(`${sig} 12 ${queueId} SUB ${padding}`, "BLOCK", "12", "");
    assertRefused(` 12 ${queueId} SEND 5 hello  ${padding}`, "BLOCK", "12", "");
    assertRefused(` 12 ${queueId} nonsense`, "BLOCK", "12", "");
  }
});

// smp.md Transmission, 3
Deno.test("A command that does not parse answers CMD SYNTAX with corrId and queue ID", {
  permissions: "none",
}, () => {
  const wrong = [
    "",
    "#",
    "SUB",
    "SUB#",
    "sub ",
    " SUB ",
    "HELLO ",
    "NEW ",
    "NEW rsa:AAAA ",
    `NEW ${keyText}`,
  ];
  wrong.push(
    "SEND 5 hello ",
    "SEND 5 hello #",
    "SEND 4 hello  ",
    "SEND 6 hello  #",
    "SEND 5 hello#",
    "SEND x hello  ",
  );
  wrong.push(
    "SEND 99999999999999999999 hello  ",
    "SEND  hello  ",
    "ERR ",
    "ERR NOPE ",
    "IDS AAAA ",
    "OK",
    "PONG#",
  );
  for (const command of wrong) {
    for (const signature of ["", sig]) {
      for (const queueId of ["", "AAAA"]) {
        assertRefused(`${signature} \xff\0c ${queueId} ${command}`, "CMD SYNTAX", "\xff\0c", queueId);
      }
    }
  }
});

const msg = "MSG AAAA 2021-05-09T09:36:08.123Z 5 hello  ";
const responses = ["IDS AAAA AAAA ", msg, "END ", "OK ", "ERR AUTH ", "ERR CMD SYNTAX ", "PONG "];
const commands = [
  `NEW ${keyText} `,
  "SUB ",
  `KEY ${keyText} `,
  "ACK ",
  "OFF ",
  "DEL ",
  "SEND 5 hello  ",
  "PING ",
];

// smp.md Transmission, 4
Deno.test("What only the other side may send answers CMD PROHIBITED", { permissions: "none" }, () => {
  for (const signature of ["", sig]) {
    for (const queueId of ["", "AAAA"]) {
      const start = `${signature} 12 ${queueId} `;
      for (const response of responses) {
        assertRefused(start + response + padding, "CMD PROHIBITED", "12", queueId);
      }
      for (const command of commands) {
        const decoded = decodeServerTransmission(latin1(start + command + padding));
        assertEquals(refusal(decoded), ["CMD PROHIBITED", "12", queueId]);
      }
    }
  }
});

// smp.md Transmission, 5
Deno.test("A command must have its credentials and no others", { permissions: "none" }, () => {
  const none = "", ok = "accepted";
  // what is answered: without both, with a signature only, with a queue ID only, with both
  const table: Record<string, readonly [string, string, string, string]> = {
    [`NEW ${keyText} `]: ["CMD NO_AUTH", ok, "CMD NO_AUTH", "CMD HAS_AUTH"],
    "SEND 5 hello  ": ["CMD NO_QUEUE", "CMD NO_QUEUE", ok, ok],
    "PING ": [ok, "CMD HAS_AUTH", "CMD HAS_AUTH", "CMD HAS_AUTH"],
    "SUB ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
    [`KEY ${keyText} `]: ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
    "ACK ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
    "OFF ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
    "DEL ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
  };
  const credentials = [[none, none], [sig, none], [none, "AAAA"], [sig, "AAAA"]] as const;
  for (const [command, expected] of Object.entries(table)) {
    credentials.forEach(([signature, queueId], i) => {
      const answer = refusal(
        decodeClientTransmission(latin1(`${signature} 12 ${queueId} ${command}${padding}`)),
      );
      assertEquals(answer, expected[i] === ok ? ok : [expected[i]!, "12", queueId], `${command} ${i}`);
    });
  }
});

const all = { has: () => true };
/** The commands of extensions, and the extension they are of. */
const extended: Readonly<Record<string, ListedExtension>> = {
  "OPEN AAAA ": "open1",
  "SUBN 5 ": "window1",
  "ACKM AAAA ": "window1",
  "REKEY AAAA ": "rekey1",
  "PASS AAAA ": "pass1",
};
const everyCredential = [["", ""], [sig, ""], ["", "AAAA"], [sig, "AAAA"]] as const;

// extensions.md: a server without it answers ERR CMD SYNTAX
Deno.test("A command of an extension that is off does not parse, whatever its credentials", {
  permissions: "none",
}, () => {
  for (const [command, extension] of Object.entries(extended)) {
    for (const [signature, queueId] of everyCredential) {
      const content = latin1(`${signature} 12 ${queueId} ${command}${padding}`);
      const others = (name: ListedExtension) => name !== extension;
      const isOpened = () => true;
      for (const options of [undefined, {}, { isOpened }, { has: others }, { has: others, isOpened }]) {
        assertEquals(refusal(decodeClientTransmission(content, options)), ["CMD SYNTAX", "12", queueId]);
      }
    }
  }
});

Deno.test(
  "A command is asked for its extension alone, and those of 0.3 for none",
  { permissions: "none" },
  () => {
    const asked = new Set<ListedExtension>();
    const has = (name: ListedExtension) => {
      asked.add(name);
      return true;
    };
    for (const command of commands) decodeClientTransmission(latin1(`${sig} 12 AAAA ${command}`), { has });
    assertEquals([...asked], []);
    for (const command of Object.keys(extended)) {
      decodeClientTransmission(latin1(`${sig} 12 AAAA ${command}`), { has });
    }
    assertEquals([...asked], [...serverExtensions.filter((name) => name !== "blocks1"), "pass1"]);
  },
);

// extensions.md Server extensions
Deno.test(
  "A command of an extension must have its credentials and no others",
  { permissions: "none" },
  () => {
    const ok = "accepted";
    const table: Record<string, readonly [string, string, string, string]> = {
      "OPEN AAAA ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
      "SUBN 5 ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
      "ACKM AAAA ": ["CMD NO_AUTH", "CMD NO_AUTH", "CMD NO_AUTH", ok],
      "REKEY AAAA ": [ok, "CMD HAS_AUTH", "CMD HAS_AUTH", "CMD HAS_AUTH"],
      "PASS AAAA ": [ok, "CMD HAS_AUTH", "CMD HAS_AUTH", "CMD HAS_AUTH"],
    };
    for (const [command, expected] of Object.entries(table)) {
      for (const [i, [signature, queueId]] of everyCredential.entries()) {
        const content = latin1(`${signature} 12 ${queueId} ${command}${padding}`);
        const answer = refusal(decodeClientTransmission(content, all));
        assertEquals(answer, expected[i] === ok ? ok : [expected[i]!, "12", queueId], `${command} ${i}`);
      }
    }
  },
);

Deno.test("Nothing that is decoded of lent content is a part of it", { permissions: "none" }, () => {
  const block = 4080, long = "x".repeat(3900);
  const commands = [`NEW ${keyText} `, `KEY ${keyText} `, "SUB ", "ACKM AAAA ", "OPEN AAAA ", "SEND 1 x  "];
  commands.push(`SEND 3900 ${long}  `, `SEND 0003900 ${long}  `, `SEND 3000 ${long.slice(900)}  `);
  for (const command of commands) {
    for (const signature of ["", sig]) {
      const decode = (isLent: boolean) => {
        const content = latin1(`${signature} 12 AAAA ${command}`.padEnd(block, "#"));
        const decoded = decodeClientTransmission(content, { ...all, isOpened: () => true, isLent });
        if (isLent) content.fill(0);
        return decoded;
      };
      assertEquals(decode(true), decode(false), command);
    }
  }
});

// extensions.md open1
Deno.test("On an opened queue, and no other, the recipient's commands need no signature", {
  permissions: "none",
}, () => {
  const isOpened = (queueId: string) => queueId === "AAAA";
  const unsigned = (queueId: string, command: string) =>
    refusal(decodeClientTransmission(latin1(` 12 ${queueId} ${command}${padding}`), { ...all, isOpened }));
  for (const command of ["SUB ", "ACK ", "OFF ", "DEL ", `KEY ${keyText} `, "SUBN 5 ", "ACKM AAAA "]) {
    assertEquals(unsigned("AAAA", command), "accepted", command);
    for (const other of ["BBBB", ""]) {
      assertEquals(unsigned(other, command), ["CMD NO_AUTH", "12", other], command);
    }
    const signed = latin1(`${sig} 12 BBBB ${command}${padding}`);
    assertEquals(refusal(decodeClientTransmission(signed, { ...all, isOpened })), "accepted", command);
  }
  assertEquals(unsigned("AAAA", "OPEN AAAA "), ["CMD NO_AUTH", "12", "AAAA"]);
  assertEquals(unsigned("AAAA", `NEW ${keyText} `), ["CMD NO_AUTH", "12", "AAAA"]);
  assertEquals(unsigned("AAAA", "PING "), ["CMD HAS_AUTH", "12", "AAAA"]);
  assertEquals(unsigned("AAAA", "REKEY AAAA "), ["CMD HAS_AUTH", "12", "AAAA"]);
});

Deno.test(
  "Whether a queue is opened does not come before what 0.3 says first",
  { permissions: "none" },
  () => {
    const isOpened = () => true;
    const refused = (content: string) =>
      refusal(decodeClientTransmission(latin1(content), { ...all, isOpened }));
    assertEquals(refused(" 12 AAAA"), ["BLOCK", "", ""]);
    assertEquals(refused("AAAA 12 AAAA SUB "), ["BLOCK", "12", ""]);
    assertEquals(refused(" 12 A*AA SUB "), ["BLOCK", "12", ""]);
    assertEquals(refused(" 12 AAAA SUBN 0 "), ["CMD SYNTAX", "12", "AAAA"]);
    assertEquals(refused(" 12 AAAA OK "), ["CMD PROHIBITED", "12", "AAAA"]);
  },
);

// extensions.md rekey1: the one command that both sides send
Deno.test(
  "A server sends REKEY without queue ID, and no other command of a client",
  { permissions: "none" },
  () => {
    const decoded = (queueId: string, text: string) =>
      refusal(decodeServerTransmission(latin1(` 12 ${queueId} ${text}${padding}`)));
    assertEquals(decoded("", "REKEY AAAA "), "accepted");
    assertEquals(decoded("AAAA", "REKEY AAAA "), ["CMD HAS_AUTH", "12", "AAAA"]);
    for (const command of ["OPEN AAAA ", "SUBN 5 ", "ACKM AAAA ", "PASS AAAA "]) {
      for (const queueId of ["", "AAAA"]) {
        assertEquals(decoded(queueId, command), ["CMD PROHIBITED", "12", queueId], command);
      }
    }
  },
);

// smp.md Transmission: command serialized canonically
Deno.test("The signature of a SUBN whose number has leading zeros covers the canonical form", {
  permissions: "none",
}, () => {
  for (const zeros of ["", "0", "00"]) {
    const decoded = decodeClientTransmission(latin1(`${sig} 12 cmlk SUBN ${zeros}5 ${padding}`), all);
    assert(decoded.ok, zeros);
    assertEquals(asciiText(decoded.value.signed), "12 cmlk SUBN 5");
  }
});

// smp.md Transmission: IDS and ERR may come without queue ID; PONG must; everything else must have one. OK answers PASS
// without one (extensions.md pass1), and no other command: tests/client/password_test.ts
Deno.test("A response must have a queue ID or must not", { permissions: "none" }, () => {
  const table: Record<string, readonly [without: string, having: string]> = {
    "IDS AAAA AAAA ": ["accepted", "accepted"],
    "ERR AUTH ": ["accepted", "accepted"],
    "PONG ": ["accepted", "CMD HAS_AUTH"],
    "OK ": ["accepted", "accepted"],
    "END ": ["CMD NO_QUEUE", "accepted"],
    [msg]: ["CMD NO_QUEUE", "accepted"],
  };
  for (const [response, expected] of Object.entries(table)) {
    ["", "AAAA"].forEach((queueId, i) => {
      const answer = refusal(decodeServerTransmission(latin1(` 12 ${queueId} ${response}${padding}`)));
      assertEquals(answer, expected[i] === "accepted" ? "accepted" : [expected[i]!, "12", queueId], response);
    });
  }
});

const clientTable: readonly [
  command: ClientCommand,
  text: string,
  signed: "never" | "may" | "must",
  queueId: string,
][] = [
  [{ type: "NEW", recipientKey: key }, `NEW ${keyText}`, "must", ""],
  [{ type: "SUB" }, "SUB", "must", "cmlk"],
  [{ type: "KEY", senderKey: key }, `KEY ${keyText}`, "must", "cmlk"],
  [{ type: "ACK" }, "ACK", "must", "cmlk"],
  [{ type: "OFF" }, "OFF", "must", "cmlk"],
  [{ type: "DEL" }, "DEL", "must", "cmlk"],
  [{ type: "SEND", body: latin1("hello") }, "SEND 5 hello ", "may", "c2lk"],
  [{ type: "SEND", body: latin1("") }, "SEND 0  ", "may", "c2lk"],
  [{ type: "SEND", body: latin1(" \0\xff\n\r 5  ") }, "SEND 9  \0\xff\n\r 5   ", "may", "c2lk"],
  [{ type: "PING" }, "PING", "never", ""],
  [{ type: "OPEN", binding: "YmluZA==" }, "OPEN YmluZA==", "must", "cmlk"],
  [{ type: "SUBN", window: 1 }, "SUBN 1", "must", "cmlk"],
  [{ type: "SUBN", window: 128 }, "SUBN 128", "must", "cmlk"],
  [{ type: "ACKM", messageId: "bXNn" }, "ACKM bXNn", "must", "cmlk"],
  [{ type: "REKEY", payload: latin1("\0\xff") }, "REKEY AP8=", "never", ""],
  [
    { type: "REKEY", payload: new Uint8Array(1216) },
    `REKEY ${encodeBase64(new Uint8Array(1216))}`,
    "never",
    "",
  ],
];

Deno.test("Every client transmission is encoded byte for byte and read back", { permissions: "none" }, () => {
  for (const [command, text, wants, queueId] of clientTable) {
    for (const signature of signatures) {
      if (wants !== "may" && (wants === "must") !== (signature.length > 0)) continue;
      for (const corrId of ["", "1", "\0\xff\n\r", "a".repeat(300)]) {
        const signed = encodeSigned(latin1(corrId), queueId, command);
        assertEquals(asciiText(signed), `${corrId} ${queueId} ${text}`);
        const content = encodeClientTransmission(signature, signed);
        assertEquals(asciiText(content), `${encodeBase64(signature)} ${corrId} ${queueId} ${text} `);
        if (signature.length === 0) {
          assertEquals(joinParts(unsignedTransmissionParts(corrId, queueId, command)), content);
        }
        for (const rest of ["", padding, "SUB  rest\0"]) {
          const value = { signature, signed, corrId: latin1(corrId), queueId, command };
          assertEquals(decodeClientTransmission(latin1(asciiText(content) + rest), all), { ok: true, value });
        }
      }
    }
  }
});

// smp.md Commands: <sig> 12 <sid> SEND 5 hello  ####…
Deno.test("SEND ends in two spaces, the body's and the transmission's", { permissions: "none" }, () => {
  const signed = encodeSigned(latin1("12"), "c2lk", { type: "SEND", body: latin1("hello") });
  assertEquals(asciiText(encodeClientTransmission(signatures[1]!, signed)), `${sig} 12 c2lk SEND 5 hello  `);
  assertEquals(asciiText(signed), "12 c2lk SEND 5 hello ");
});

// smp.md Transmission: command serialized canonically
Deno.test("The signature of a SEND whose size has leading zeros covers the canonical form", {
  permissions: "none",
}, () => {
  for (const zeros of ["", "0", "00", "000", "0".repeat(3000)]) {
    const decoded = decodeClientTransmission(latin1(`${sig} 12 c2lk SEND ${zeros}5 hello  ${padding}`));
    assert(decoded.ok, zeros);
    assertEquals(asciiText(decoded.value.signed), "12 c2lk SEND 5 hello ", `${zeros.length} zeros`);
    assertEquals(decoded.value.command, { type: "SEND", body: latin1("hello") });
  }
});

const serverTable: readonly [response: ServerResponse, text: string, queueId: string][] = [
  [{ type: "IDS", recipientId: "cmlk", senderId: "c2lk" }, "IDS cmlk c2lk", ""],
  [
    {
      type: "MSG",
      messageId: "bXNn",
      timestamp: new Date("2021-05-09T09:36:08.123Z"),
      body: latin1(" \0\xff\n "),
    },
    "MSG bXNn 2021-05-09T09:36:08.123Z 5  \0\xff\n  ",
    "cmlk",
  ],
  [{ type: "END" }, "END", "cmlk"],
  [{ type: "OK" }, "OK", "cmlk"],
  [{ type: "PONG" }, "PONG", ""],
  [{ type: "REKEY", payload: latin1("\0\xff") }, "REKEY AP8=", ""],
  [{ type: "REKEY", payload: new Uint8Array(1120) }, `REKEY ${encodeBase64(new Uint8Array(1120))}`, ""],
  ...smpErrorCodes.flatMap((error): [ServerResponse, string, string][] =>
    ["", "cmlk"].map((queueId) => [{ type: "ERR", error }, `ERR ${error}`, queueId])
  ),
];

// smp.md Transmission: server transmissions carry an empty signature, so they begin with a space
Deno.test("Every server transmission is encoded byte for byte and read back", { permissions: "none" }, () => {
  for (const [response, text, queueId] of serverTable) {
    for (const corrId of ["", "1", "\0\xff\n", "a".repeat(300)]) {
      const value = { corrId: latin1(corrId), queueId, response };
      const content = encodeServerTransmission(value);
      assertEquals(asciiText(content), ` ${corrId} ${queueId} ${text} `);
      assertEquals(serverTransmissionLength(value), content.length);
      for (const rest of ["", padding, "ERR AUTH \0"]) {
        assertEquals(decodeServerTransmission(latin1(asciiText(content) + rest)), { ok: true, value });
      }
    }
  }
});

// smp.md Size of a message; every block size up to 65536 bytes
Deno.test("A transmission as long as the largest block is read, whatever it is made of", {
  permissions: "none",
}, () => {
  const fill = (text: string) => text.repeat(65536 / text.length);
  assertRefused(fill(" "), "CMD SYNTAX", "", "");
  assertRefused(fill("#"), "BLOCK", "", "");
  assertRefused(fill("A"), "BLOCK", "", "");
  assertRefused(`${fill("A")} 1 AAAA SUB `, "BLOCK", "1", "");
  assertRefused(` ${fill("c")} AAAA SUB `, "CMD NO_AUTH", fill("c"), "AAAA");
  assertRefused(` 1 ${fill("Q")} SUB `, "CMD NO_AUTH", "1", fill("Q"));
  assertRefused(` 1 AAAA ${fill("S")} `, "CMD SYNTAX", "1", "AAAA");
  assertRefused(` 1 AAAA NEW rsa:${fill("A")} `, "CMD SYNTAX", "1", "AAAA");
  assertRefused(` 1 AAAA SEND ${fill("9")} hello  `, "CMD SYNTAX", "1", "AAAA");
  assertRefused(` 1 AAAA IDS ${fill("A ")}`, "CMD SYNTAX", "1", "AAAA");
  for (const body of [fill(" "), fill("5 "), fill("\0")]) {
    const decoded = decodeClientTransmission(latin1(` 1 AAAA SEND 65536 ${body}  `));
    assertEquals(decoded.ok && decoded.value.command, { type: "SEND", body: latin1(body) });
  }
  const zeros = decodeClientTransmission(latin1(` 1 AAAA SEND ${fill("0")}5 hello  `));
  assertEquals(zeros.ok && zeros.value.command, { type: "SEND", body: latin1("hello") });
});
