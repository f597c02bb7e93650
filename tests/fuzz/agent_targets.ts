import { assert, assertEquals } from "@std/assert";
import type { Agent } from "../../agent/mod.ts";
import { AgentError, StoreError } from "../../agent/mod.ts";
import { encodeAgentMessage, parseAgentMessage } from "../../agent/kinds/mod.ts";
import { encodeExtensions } from "../../agent/protocol/extensions.ts";
import { systemClock } from "../../agent/clock.ts";
import { Notifier } from "../../agent/service/notifier.ts";
import { Session } from "../../agent/service/session.ts";
import { vaultFor } from "../../agent/store/vault.ts";
import { asciiText, parsePublicKeyText, parseQueueInfo, textBytes } from "../../protocol/mod.ts";
import { rsaVector } from "../support/vectors.ts";
import { expectingAsync, type Target } from "./target.ts";

const key = rsaVector("rsa1024").text;
const invitation = `smp::localhost:5223#${btoa("\0".repeat(32))}::AAAA::${key}`;
const numbered = { id: 1, timestamp: new Date(0), previousHash: new Uint8Array(32) };
const publicKey = parsePublicKeyText(key);

/** Refuses everything, as an agent does that knows no connection. */
const refusingAgent = new Proxy({}, {
  get: (_target, name) => () => {
    if (name === "connections") return [];
    const error = new AgentError("CONN UNKNOWN", "there is no such connection");
    if (name === "connection") throw error;
    return Promise.reject(error);
  },
}) as Agent;

/** Everything of the agent that takes bytes from outside. */
export const agentTargets: readonly Target[] = [
  {
    name: "agent message",
    seeds: [
      encodeAgentMessage({ type: "KEY", senderKey: publicKey }),
      encodeAgentMessage({ type: "HELLO", verificationKey: publicKey, noAck: true, ...numbered }),
      encodeAgentMessage({ type: "REPLY", queueInfo: parseQueueInfo(invitation), ...numbered }),
      encodeAgentMessage({
        type: "REPLY",
        queueInfo: parseQueueInfo(invitation),
        ...numbered,
        previousHash: encodeExtensions(["session1", "other2"]),
      }),
      encodeAgentMessage({ type: "MSG", body: textBytes("hello"), ...numbered }),
    ],
    words: ["KEY ", "HELLO ", " NO_ACK", "REPLY ", "MSG ", "\n", " ", "1970-01-01T00:00:00.000Z", "5\n", key],
    run(input) {
      const message = parseAgentMessage(input);
      if (message === null) return;
      assertEquals(parseAgentMessage(encodeAgentMessage(message)), message);
    },
  },
  {
    name: "the agent's port",
    seeds: [
      `1\r\nalice\r\nNEW\r\n2\r\nalice\r\nSEND :hi\r\n3\r\nalice\r\nSEND 5\r\nhello\r\n4\r\n\r\nSUBALL\r\n`,
      `1\nbob\nJOIN ${invitation} NO_REPLY\n2\nbob\nDEL\n3\nbob\nOFF\n4\nx\nTOKEN secret\n`,
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      `1\n\nMODE manual\n2\nx\nACK 3\n3\n\nLIST\n4\n\nHELP\n5\n\nQUIT\n`,
      `1\n\nMODE json\n${
        [
          { id: 1, command: "NEW", connection: "x" },
          { id: "a", command: "JOIN", invitation, reply: false },
          { id: 2, command: "SEND", connection: "x", data: "AAAA" },
          { id: 3, command: "MODE", modes: ["text", "manual"] },
        ].map((request) => `${JSON.stringify(request)}\n`).join("")
      }2\nx\nSUB\n`,
    ].map(textBytes),
    words: [
      "\r\n",
      "\n",
      "SEND ",
      "SEND :",
      "JOIN ",
      "NEW",
      "SUB",
      "99999",
      "123456789",
      "smp::",
      "\xff",
      "ERR",
      "1\n\nMODE json\n",
      '"id":',
      '"text":',
    ],
    async run(input) {
      const written: Uint8Array[] = [];
      let isClosed = false;
      const session = new Session({
        // In pieces, as sockets give them.
        readable: ReadableStream.from(pieces(input)),
        write: (bytes) => Promise.resolve((written.push(bytes), bytes.length)),
        closeWrite: () => Promise.resolve(),
        close: () => void (isClosed = true),
      }, {
        notifier: new Notifier(refusingAgent, systemClock),
        token: null,
        tokenTimeout: 10_000,
        writeTimeout: 30_000,
        roomNotice: 5_000,
        clock: systemClock,
      });
      await session.run();
      assert(isClosed);
      const said = written.map((bytes) => asciiText(bytes)).join("");
      assert(said.startsWith("Welcome to SMP v0.3.2 agent\r\n"));
      assert(!said.includes("INTERNAL"), said);
    },
  },
  {
    name: "key of a passphrase",
    seeds: [new Uint8Array(47)],
    words: [],
    async run(input) {
      const record = { salt: new Uint8Array(16), iterations: 1, key: input };
      const opened = vaultFor({ passphrase: "secret" }, { record, isEmpty: false });
      assertEquals(await expectingAsync(StoreError, () => opened), null);
    },
  },
];

function* pieces(input: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < input.length; at += 7) yield input.subarray(at, at + 7);
}
