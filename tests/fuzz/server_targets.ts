import { assert, assertEquals } from "@std/assert";
import {
  asciiText,
  type BlockChannel,
  clientHandshake,
  contentLimit,
  memoryChannelPair,
  textBytes,
} from "../../protocol/mod.ts";
import { ConfigError, defaultIni, parseConfig } from "../../server/config/config_file.ts";
import { generateIdentity, Metrics, SmpServer } from "../../server/mod.ts";
import { HandshakeLog } from "../../server/store/handshake_log.ts";
import { loadMessages, messageLines } from "../../server/store/message_journal.ts";
import { loadStoreLog, storeLogLines } from "../../server/store/store_log.ts";
import { rsaVector } from "../support/vectors.ts";
import { expecting, type Target } from "./target.ts";
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
        const digests = [...log.guard.digests()];
        assert(digests.every((digest) => Number.isSafeInteger(digest) && digest >= 0));
        await log.close();
        const again = await HandshakeLog.open(path, options);
        assertEquals([...again.guard.digests()], digests);
        await again.close();
      }),
  },
];

const identity = await generateIdentity();
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
export const serverTargets: readonly Target[] = [...fileTargets, connectionTarget];
