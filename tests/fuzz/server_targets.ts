import { assert, assertEquals } from "@std/assert";
import {
  asciiText,
  type BlockChannel,
  type ClientCommand,
  clientHandshake,
  contentLimit,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  memoryChannelPair,
  publicKeyHash,
  signPss,
  textBytes,
  TransportError,
} from "../../protocol/mod.ts";
import { ConfigError, defaultIni, parseConfig } from "../../server/config/config_file.ts";
import { Metrics, SmpServer } from "../../server/mod.ts";
import { HandshakeLog } from "../../server/store/handshake_log.ts";
import { loadMessages, messageLines } from "../../server/store/message_journal.ts";
import { loadStoreLog, storeLogLines } from "../../server/store/store_log.ts";
import { keyOf } from "../support/test_keys.ts";
import { rsaVector } from "../support/vectors.ts";
import { expecting, expectingAsync, type Target } from "./target.ts";
import { protocolTargets } from "./protocol_targets.ts";

const directories = { configDir: "config", logDir: "log" };
const key = rsaVector("rsa1024").text;
const storeLog = `CREATE rid=AAAA sid=AAAB rk=${key} sk=\nCREATE rid=AAAC sid=AAAD rk=${key} sk=${key}\n` +
  `SECURE AAAA ${key}\nDELETE AAAC\n`;
const journal = "smp-messages 1\nMSG AAAA BBBB 2021-05-09T09:36:08.123Z aGVsbG8=\n" +
  "MSG AAAA BBBC 2021-05-09T09:36:08.124Z \nACK AAAA BBBB\nCLEAR AAAA\n";

/** Gives the path of a file with the input for as long as `use` takes. */
async function withFile(input: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, input);
    await use(path);
  } finally {
    for (const suffix of ["", ".new"]) await Deno.remove(path + suffix).catch(() => {});
  }
}

const fileTargets: readonly Target[] = [
  {
    name: "ini",
    seeds: [
      textBytes(defaultIni(directories)),
      textBytes("[TRANSPORT]\nport: 1\nwebsockets=2\n\n; x\n[LIMITS]\nmemory_mib: 3\nnew_queues: off\n"),
    ],
    words: ["[", "]", ":", "=", "#", "\n", "\r\n", "[LIMITS]\n", "on", "off", "-1", "1e9", "port"],
    run(input) {
      expecting(ConfigError, () => parseConfig(asciiText(input), "file", directories));
    },
  },
  {
    name: "store log",
    seeds: [textBytes(storeLog)],
    words: [
      "CREATE ",
      "SECURE ",
      "DELETE ",
      "rid=",
      "sid=",
      "rk=",
      "sk=",
      "rsa:",
      "\n",
      "\r\n",
      " ",
      "AAAA",
      key,
    ],
    run: (input) =>
      withFile(input, async (path) => {
        const { memory, problems, lines } = await loadStoreLog(path, 0);
        assert(problems.every(({ line }) => line >= 1 && line <= lines));
        // What was read is written and read again as it is.
        const written = [...storeLogLines(memory.records())].map((line) => `${line}\n`).join("");
        await Deno.writeTextFile(path, written);
        const again = await loadStoreLog(path, 0);
        assertEquals(again.problems, []);
        assertEquals([...again.memory.records()], [...memory.records()]);
      }),
  },
  {
    name: "messages file",
    seeds: [textBytes(journal)],
    words: [
      "MSG ",
      "ACK ",
      "CLEAR ",
      "smp-messages 1\n",
      "\n",
      " ",
      "AAAA",
      "2021-05-09T09:36:08.123Z",
      "aGVsbG8=",
    ],
    run: (input) =>
      withFile(input, async (path) => {
        const { memory, problems, lines } = await loadMessages(path);
        assert(problems.every(({ line }) => line >= 1 && line <= lines));
        await Deno.writeTextFile(path, [...messageLines(memory)].map((line) => `${line}\n`).join(""));
        const again = await loadMessages(path);
        assertEquals(again.problems, []);
        assertEquals([...again.memory.messages()], [...memory.messages()]);
      }),
  },
  {
    name: "handshakes file",
    seeds: [textBytes("1\nzz\n2gosa7pa2gv\n")],
    words: ["\n", "zzzzzzzzzzz", "2gosa7pa2gw"],
    run: (input) =>
      withFile(input, async (path) => {
        const options = {
          fsync: "off",
          fsyncInterval: 1000,
          metrics: new Metrics(),
          log: () => {},
        } as const;
        const log = await HandshakeLog.open(path, options);
        const digests = [...log.guard.digests()].sort();
        assert(digests.every((digest) => Number.isSafeInteger(digest) && digest >= 0));
        await log.close();
        const again = await HandshakeLog.open(path, options);
        assertEquals([...again.guard.digests()].sort(), digests);
        await again.close();
      }),
  },
];

const keyPair = await keyOf("server", "decrypt");
const identity = { keyPair, keyHash: await publicKeyHash(keyPair.publicKey) };
const separator = 0x1e;

/** Contents of blocks, one after the other, over one connection of a server. */
const connectionTarget: Target = {
  name: "a connection's transmissions",
  seeds: protocolTargets.find(({ name }) => name === "client transmission")!.seeds,
  words: [String.fromCharCode(separator), "PING ", " 1  PING ", "SEND "],
  async run(input) {
    const failures: string[] = [];
    await using server = await SmpServer.start({
      identity,
      host: "127.0.0.1",
      port: 0,
      log: (message, error) => failures.push(`${message}: ${error}`),
    });
    const [near, far] = memoryChannelPair();
    const handling = server.handle(far);
    const blocks = await clientHandshake(near);
    const contents = split(input).filter((content) => content.length <= contentLimit(4096));
    await blocks.write(contents);
    await answered(blocks, contents.length);
    await blocks.write([textBytes(" last  PING ")]);
    await answered(blocks, 1);
    await blocks.close();
    await handling;
    assertEquals([failures, server.metrics.internalErrors, server.connections], [[], 0, 0]);
  },
};

const { publicKey, privateKey } = await keyOf("smallAgents", "sign");
const none = new Uint8Array(0);

/** What stands in inputs for the IDs of the queue of {@linkcode openedTarget}, for the session and for a message. */
const words = { recipientId: "RRRR", senderId: "SSSS", binding: "BBBB", messageId: "MMMM" };

function seedOf(...contents: readonly string[]): Uint8Array {
  return textBytes(contents.join(String.fromCharCode(separator)));
}

/** Contents of blocks over a connection that has opened both IDs of a queue, so that commands need no signature. */
const openedTarget: Target = {
  name: "commands without signatures",
  seeds: [
    seedOf(" 1 SSSS SEND 1 a  ", " 2 RRRR SUBN 3 ", " 3 RRRR ACKM MMMM ", " 4 RRRR ACK "),
    seedOf(" 1 SSSS SEND 1 a  ", " 2 SSSS SEND 1 b  ", " 3 RRRR SUBN 128 ", " 4 RRRR SUB ", " 5 RRRR ACK "),
    seedOf(" 1 RRRR OFF ", " 2 SSSS SEND 1 a  ", " 3 RRRR DEL ", " 4 RRRR SUBN 1 "),
    seedOf(" 1 SSSS SUB ", " 2 RRRR SEND 1 a  ", " 3 RRRR OPEN BBBB ", " 4  REKEY AAAA "),
  ],
  words: [
    String.fromCharCode(separator),
    ...Object.values(words),
    " 1 RRRR SUBN 2 ",
    " 1 RRRR ACKM MMMM ",
    " 1 SSSS SEND 1 x  ",
    " 1 RRRR DEL ",
    "REKEY ",
  ],
  async run(input) {
    const failures: string[] = [];
    await using server = await SmpServer.start({
      identity,
      host: "127.0.0.1",
      port: 0,
      log: (message, error) => failures.push(`${message}: ${error}`),
    });
    const [near, far] = memoryChannelPair();
    const handling = server.handle(far);
    const blocks = await clientHandshake(near);
    const ask = async (queueId: string, command: ClientCommand) => {
      const signed = encodeSigned(textBytes("s"), queueId, command);
      await blocks.write([encodeClientTransmission(await signPss(privateKey, signed), signed)]);
      return asciiText((await blocks.read())!).split(" ");
    };
    const [, , , , recipientId, senderId] = await ask("", { type: "NEW", recipientKey: publicKey });
    const binding = encodeBase64(blocks.binding);
    await ask(recipientId!, { type: "KEY", senderKey: publicKey });
    for (const queueId of [recipientId!, senderId!]) {
      assertEquals((await ask(queueId, { type: "OPEN", binding }))[3], "OK");
    }
    const send = encodeSigned(textBytes("s"), senderId!, { type: "SEND", body: none });
    await blocks.write([encodeClientTransmission(none, send)]);
    const read = [asciiText((await blocks.read())!), asciiText((await blocks.read())!)];
    const messageId = /MSG (\S+)/.exec(read.join())![1]!;
    const values = { recipientId: recipientId!, senderId: senderId!, binding, messageId };
    const contents = split(input).map((content) => {
      let text = String.fromCharCode(...content);
      for (const [name, word] of Object.entries(words)) {
        text = text.replaceAll(word, values[name as keyof typeof values]);
      }
      return Uint8Array.from(text, (char) => char.charCodeAt(0));
    }).filter((content) => content.length <= contentLimit(4096));
    // Answers and pushes are as many as there are, until the last answer or, after a wrong REKEY, the end.
    const reading = (async () => {
      for (;;) {
        const block = await blocks.read();
        if (block === null || asciiText(block).startsWith(" last  PONG ")) return;
      }
    })();
    await expectingAsync(TransportError, () => blocks.write([...contents, textBytes(" last  PING ")]));
    await expectingAsync(TransportError, () => reading);
    await blocks.close();
    await handling;
    await server.stop();
    const { opened, delivered, subscriptions, queues, messages, messageBytes, memoryHeld } = server.gauges();
    assertEquals([opened, delivered, subscriptions], [0, 0, 0]);
    assertEquals(memoryHeld, queues * 1.5 * 1024 + messages * 640 + messageBytes);
    assertEquals([failures, server.metrics.internalErrors, server.connections], [[], 0, 0]);
  },
};

function split(input: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let rest = input; parts.length < 8;) {
    const end = rest.indexOf(separator);
    parts.push(end < 0 ? rest : rest.subarray(0, end));
    if (end < 0) break;
    rest = rest.subarray(end + 1);
  }
  return parts;
}

async function answered(blocks: BlockChannel, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    assert(await blocks.read() !== null, "the server has closed the connection");
  }
}

/** Everything of the server that takes bytes from outside. */
export const serverTargets: readonly Target[] = [...fileTargets, connectionTarget, openedTarget];
