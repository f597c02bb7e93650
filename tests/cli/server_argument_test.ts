import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  readArguments as readAgentArguments,
  readServer as readAgentServer,
} from "../../agent/cli/arguments.ts";
import { readArguments, readServer } from "../../client/cli/arguments.ts";
import { readCommandLine, shownArgument, UsageError } from "../../cli/options.ts";
import { temporaryFolder } from "../support/server_process.ts";

const secret = "s:e#c@r=et";
const address = `${secret}@smp.example.org:5223`;

Deno.test("of an argument is shown what stands behind a password", { permissions: "none" }, () => {
  const cases = {
    "bob": "bob",
    "--bogus=1": "--bogus=1",
    [address]: "…@smp.example.org:5223",
    [`--servers=${address}`]: "--servers=…@smp.example.org:5223",
    [`-s${address}`]: "…@smp.example.org:5223",
    "a\n@b": "…@b",
  };
  for (const [text, shown] of Object.entries(cases)) assertEquals(shownArgument(text), shown);
});

Deno.test("a server with a password in the wrong place, or in no file, is told without it", async () => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/server`;
  await Deno.writeTextFile(file, `${secret.replace("@", "-")}\n`);
  const acts = {
    "unknown option --servers=…@smp": () => readCommandLine([`--servers=${address}`], {}),
    "unknown argument …@smp": () => readAgentArguments([address], {}, { names: [] }),
    "unknown argument …@smp.": () => readArguments(["a", address], { options: [], names: ["A"] }),
    "cannot read the server in …@smp.example.org:5223: ": () => readServer(`@${address}`, true),
    "--server smp.example.org:5223 has no key hash": () => readAgentServer(address, false),
    [`--server @${file}: `]: () => readAgentServer(`@${file}`, false),
    [`@${file}: `]: () => readServer(`@${file}`, false),
  };
  for (const [message, act] of Object.entries(acts)) {
    const error = assertThrows(act, UsageError);
    assert(error.message.startsWith(message), error.message);
    assert(!/s:e|r=et|"e/.test(error.message), error.message);
  }
});
