import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  defaultPort,
  encodeBase64,
  formatAddress,
  formatQueueInfo,
  parseAddress,
  ParseError,
  parsePublicKeyText,
  parseQueueInfo,
  parseServer,
  type ServerAddress,
} from "../../protocol/mod.ts";
import { rsaVector, vectors } from "../support/vectors.ts";

const { text: keyText, hash } = rsaVector("rsa2048");
const encryptionKey = parsePublicKeyText(keyText);

const addresses: Record<string, ServerAddress> = {
  "smp.example.org": { host: "smp.example.org" },
  "localhost:5223": { host: "localhost", port: 5223 },
  "127.0.0.1:1": { host: "127.0.0.1", port: 1 },
  "h:65535": { host: "h", port: 65535 },
  [`h#${hash}`]: { host: "h", keyHash: hash },
  [`smp4.simplex.im:5223#${hash}`]: { host: "smp4.simplex.im", port: 5223, keyHash: hash },
};

// transport.md Address
Deno.test("An address is host, port and key hash, the last two optional", { permissions: "none" }, () => {
  for (const [text, address] of Object.entries(addresses)) {
    assertEquals(parseAddress(text), address);
    assertEquals(formatAddress(address), text);
  }
  assertEquals(defaultPort, 5223);
  assertEquals(parseAddress("h:00080"), { host: "h", port: 80 });
  for (const { hash } of vectors.rsa) assertEquals(parseAddress(`h#${hash}`).keyHash, hash);
});

Deno.test("An address that cannot be is refused with what is wrong", { permissions: "none" }, () => {
  const short = encodeBase64(new Uint8Array(31)), long = encodeBase64(new Uint8Array(33));
  const cases: Record<string, string[]> = {
    "host is empty": ["", ":5223", `#${hash}`, `:5223#${hash}`, ":", "#"],
    "host has a space": [" ", "a b", "h :5223", " h", "h\t:1", "h\n", `h #${hash}`],
    "a character that is not ASCII": ["h\x7f", "h\x00", "b\u00fccher.example", "h\x9b"],
    "port is empty": ["h:", `h:#${hash}`],
    "is not a number from 1 to 65535": [
      "h:0",
      "h:65536",
      "h:99999",
      "h:000080",
      "h:-1",
      "h:+1",
      "h:1.0",
      "h:1e3",
    ],
    "an IPv6 address stands in brackets": [
      "h:0x50",
      "h: 80",
      "h:80 ",
      "h:80\n",
      "h:a",
      "::1",
      "2001:db8::1",
      "h:1:2",
      `::1:5223#${hash}`,
    ],
    "what begins with a bracket is no IPv6 address in brackets": [
      "[",
      "[]",
      "[::1",
      "[::1]x:1",
      "[::1%eth0]:1",
      "[::1]]",
      "[127.0.0.1]",
      "[v1.x]",
      "[:::]",
      "[1:2:3:4:5:6:7:8:9]",
      "[::12345]",
      "[[::1]]",
      "[::1 ]",
      "[h]:1",
      `[${"0:".repeat(1000)}1]`,
    ],
    "key hash is not base64": [
      "h#*",
      "h#A",
      `h#${hash} `,
      `h#${hash.slice(0, -1)}`,
      `h##${hash}`,
      `h#${hash}#`,
    ],
    "key hash has 0 bytes, not 32": ["h#", "h:5223#"],
    "key hash has 31 bytes, not 32": [`h#${short}`],
    "key hash has 33 bytes, not 32": [`h:5223#${long}`],
  };
  for (const [message, texts] of Object.entries(cases)) {
    for (const text of texts) {
      const error = assertThrows(() => parseAddress(text), ParseError, message);
      assertEquals(error.code, "ADDRESS");
      assert(error.message.startsWith("Cannot parse server address: "));
    }
  }
});

Deno.test("An IPv6 address stands in brackets, in an invitation too, and is read in its one form", {
  permissions: "none",
}, () => {
  const cases: Record<string, ServerAddress> = {
    "[::1]": { host: "::1" },
    "[::1]:5223": { host: "::1", port: 5223 },
    [`[2001:DB8:0:0::1]:80#${hash}`]: { host: "2001:db8::1", port: 80, keyHash: hash },
    [`[fe80:0:0:0:0:0:0:1]#${hash}`]: { host: "fe80::1", keyHash: hash },
    "[::ffff:1.2.3.4]:1": { host: "::ffff:102:304", port: 1 },
    "[::]:1": { host: "::", port: 1 },
  };
  for (const [text, server] of Object.entries(cases)) {
    assertEquals(parseAddress(text), server);
    assertEquals(parseAddress(formatAddress(server)), server);
    assertEquals(parseServer(`p[:@${text}`), { server, password: "p[:" });
    const info = { server, senderId: "AAAA", encryptionKey };
    assertEquals(parseQueueInfo(`smp::${text}::AAAA::${keyText}`), info);
    assertEquals(parseQueueInfo(formatQueueInfo(info)), info);
  }
  assertEquals(formatAddress({ host: "::1", port: 5223, keyHash: hash }), `[::1]:5223#${hash}`);
  // What 0.3 writes is as it was.
  assertEquals(formatAddress({ host: "127.0.0.1", port: 5223 }), "127.0.0.1:5223");
  for (const text of ["smp::[::1]::AAAA", "smp::[::1]", "smp::[::1::AAAA::x", `smp::::1::AAAA::${keyText}`]) {
    assertThrows(() => parseQueueInfo(text), ParseError, "4 parts");
  }
});

// extensions.md pass1
Deno.test("A server may have a password before its address, which ends at the last @", {
  permissions: "none",
}, () => {
  for (const [text, server] of Object.entries(addresses)) {
    assertEquals(parseServer(text), { server });
    for (const password of ["p", "p:a@s#s/", "@", "~!", "x".repeat(256)]) {
      assertEquals(parseServer(`${password}@${text}`), { server, password });
    }
  }
});

Deno.test(
  "A password that cannot be, and one in an address, is refused without it",
  { permissions: "none" },
  () => {
    for (const bad of ["", "se cret", "secret\n", "s\u00e9cret", "secret".repeat(43)]) {
      const error = assertThrows(
        () => parseServer(`${bad}@h`),
        ParseError,
        'the password before "@" is not of 1 to',
      );
      assert(!/cret/.test(error.message), error.message);
    }
    for (const rest of ["", "h:x", "h y", `h#${hash.slice(1)}`, ":1"]) {
      const error = assertThrows(
        () => parseServer(`secret@${rest}`),
        ParseError,
        "Cannot parse server address: ",
      );
      assert(!error.message.includes("secret"), error.message);
    }
    for (
      const text of [
        "secret@h",
        `secret@h:1#${hash}`,
        "se:cret@h",
        "h:1@secret",
        `h#${hash}@secret`,
        "@h",
        "secret @",
      ]
    ) {
      const error = assertThrows(() => parseAddress(text), ParseError, "it has a password");
      assert(!/secret|cret@/.test(error.message), error.message);
    }
    const info = `smp::secret@h::AAAA::${keyText}`;
    const error = assertThrows(() => parseQueueInfo(info), ParseError, "it has a password");
    assert(!error.message.includes("secret"), error.message);
  },
);

// agent.md Invitation
Deno.test("A queue info is server, sender ID and encryption key", { permissions: "none" }, () => {
  for (const [address, server] of Object.entries(addresses)) {
    for (const senderId of ["AAAA", "/+8=", "MTIzNDU2Nzg5MDEy"]) {
      const text = `smp::${address}::${senderId}::${keyText}`;
      assertEquals(parseQueueInfo(text), { server, senderId, encryptionKey });
      assertEquals(formatQueueInfo({ server, senderId, encryptionKey }), text);
    }
  }
});

Deno.test("A queue info that cannot be is refused with what is wrong", { permissions: "none" }, () => {
  const whole = `smp::h:5223#${hash}::AAAA::${keyText}`;
  const cases: Record<string, string[]> = {
    "are expected, not 1": ["", "smp", "smp:h:AAAA"],
    "are expected, not 2": ["::", "smp::h"],
    "are expected, not 3": [`h::AAAA::${keyText}`, "smp::h::AAAA"],
    "are expected, not 5": [`${whole}::`, `smp::::h::AAAA::${keyText}`],
    'it must start with "smp::"': [` ${whole}`, `SMP::h::AAAA::${keyText}`, `::h::AAAA::${keyText}`],
    "the sender ID is not base64": ["", "A", "AA", "AA-_", "AAAA "].map((id) => `smp::h::${id}::${keyText}`),
    "host is empty": [`smp::::AAAA::${keyText}`, `smp:::5223::AAAA::${keyText}`],
    "port is empty": [`smp::h:#${hash}::AAAA::${keyText}`],
    "key hash is not base64": [`smp::h#*::AAAA::${keyText}`],
    'it must start with "rsa:"': ["smp::h::AAAA::", "smp::h::AAAA::AAAA"],
    'what follows "rsa:" is not base64': [`${whole} `, `${whole}\n`, whole.slice(0, -1)],
    "Cannot parse public key: ": [whole.slice(0, -4), "smp::h::AAAA::rsa:", "smp::h::AAAA::rsa:AAAA"],
  };
  for (const [message, texts] of Object.entries(cases)) {
    for (const text of texts) {
      const error = assertThrows(() => parseQueueInfo(text), ParseError, message);
      assertEquals(error.code, "QUEUE_INFO", text);
      assert(error.message.startsWith("Cannot parse queue info: "));
    }
  }
});
