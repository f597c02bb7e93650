import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parseCli } from "../../../server/config/cli.ts";
import { formatIdentity } from "../../../server/config/identity.ts";
import { identity } from "../../support/server.ts";
import { run, temporaryFolder } from "../../support/server_process.ts";

const key = await formatIdentity(identity);

/** What a start in a cluster says that does not come about. */
async function refusal(
  args: readonly string[],
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  await using folder = await temporaryFolder();
  for (const [name, text] of Object.entries({ server_key: key, ...files })) {
    await Deno.writeTextFile(`${folder.path}/${name}`, text, { mode: 0o600 });
  }
  const place = ["--config-dir", folder.path, "--log-dir", folder.path, "--host", "127.0.0.1", "--port", "0"];
  const { code, stdout, stderr } = await run(["start", "-y", ...place, ...args], { folder: folder.path });
  assert(code === 1 || code === 2, `${code} ${stdout} ${stderr}`);
  assert(!stdout.includes("listening"));
  return stderr.replaceAll(folder.path, "DIR");
}

Deno.test("what a node needs and lacks is said before it joins anything", async () => {
  const cluster = ["--cluster", "nats://127.0.0.1:1", "--node", "a"];
  for (
    const [args, files, expected] of [
      [["--node", "a"], {}, "no NATS servers are given: pass --cluster, or set servers in [CLUSTER] of DIR"],
      [
        ["--cluster", "nats://127.0.0.1:1"],
        {},
        "without a name: pass --node, or set node in [CLUSTER] of DIR",
      ],
      [[...cluster, "--workers", "2"], {}, "--cluster excludes --workers: a node is one process"],
      [
        cluster,
        { "smp-server-store.log": "" },
        "with DIR/smp-server-store.log: what is in it would not be served",
      ],
      [cluster, {}, "Cannot connect to NATS: "],
      [["--cluster", "http://a", "--node", "a"], {}, "http:// is neither nats:// nor tls://"],
      [["--cluster", "nats://192.0.2.1", "--node", "a"], {}, "messages would cross the network unencrypted"],
      [cluster, { "smp-server.ini": "[CLUSTER]\npartitions: 7\n" }, "a power of two from 1 to 256"],
      [cluster, { "smp-server.ini": "[CLUSTER]\nnkey_file: DIR/none\n" }, "Cannot read DIR/none"],
    ] as const
  ) {
    assertStringIncludes(await refusal(args, files), expected);
  }
});

Deno.test("a node of a cluster by its ini alone does not start workers", async () => {
  const ini = "[CLUSTER]\nservers: nats://127.0.0.1:1\nnode: a\n";
  assertStringIncludes(await refusal([], { "smp-server.ini": ini }), "Cannot connect to NATS: ");
  assertEquals(parseCli(["start", "--cluster", "x", "--workers", "0"]).type, "error");
});
