import { assert, assertEquals } from "@std/assert";
import { generateKeyPair, SmpClient, SmpError } from "../../mod.ts";
import { asciiText, textBytes } from "../../protocol/mod.ts";
import { type Lack, lackOf, requiring } from "../support/requires.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, soon } from "../support/wait.ts";

const ini =
  "[STORE_LOG]\nenable: on\nmessages: journal\n[LIMITS]\nmessages_per_queue: 1000\n[METRICS]\nport: 0\n";
const body = new Uint8Array(3000).fill(120);

/** A shell in a mount namespace of its own with a small disk, which goes with it; what follows is run there. */
function smallDisk(folder: string): string[] {
  const script = `mount -t tmpfs -o size=512k tmpfs "$1" && cp "$1.ini" "$1/smp-server.ini" && ` +
    `head -c 200000 /dev/zero > "$1/ballast" && shift && exec "$@"`;
  return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", folder];
}

/** A folder with a place for the disk. */
async function prepare(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await temporaryFolder();
  await Deno.mkdir(`${folder.path}/disk`);
  await Deno.writeTextFile(`${folder.path}/disk.ini`, ini);
  return folder;
}

/** Tries the disk. */
async function lackOfMounts(): Promise<Lack> {
  await using folder = await prepare();
  const [command, ...args] = smallDisk(`${folder.path}/disk`);
  return lackOf(command!, ...args, "true") && "a mount namespace with a disk of its own cannot be made";
}

/** Runs a command that reaches into the server's namespace, which Deno's own functions want every permission for. */
async function run(command: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(command, { args }).output();
  assert(success, `${command} ${args.join(" ")}`);
}

const test = requiring(await lackOfMounts());

async function metric(server: ServerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${server.metricsUrl}metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)![1]);
}

test(
  "on a full disk messages get ERR INTERNAL, and nothing accepted is lost when there is room again",
  async () => {
    await using folder = await prepare();
    const disk = `${folder.path}/disk`;
    await using server = await ServerProcess.start({ folder: disk, wrapper: smallDisk(disk) });
    await using client = await SmpClient.connect(server.address);
    const keyPair = await generateKeyPair("sign", 1024);
    const queue = await client.createQueue({ keyPair });
    const accepted: number[] = [];
    let refused: unknown = null;
    for (let i = 0; refused === null; i++) {
      const text = textBytes(`${i} `);
      const message = body.slice();
      message.set(text);
      try {
        await client.send(queue, message);
        accepted.push(i);
      } catch (error) {
        refused = error;
      }
    }
    assert(refused instanceof SmpError && refused.code === "INTERNAL");
    assert(accepted.length > 10);
    // Everything else goes on.
    await client.ping();
    await client.subscribe(queue);
    assert(await metric(server, "smp_log_failures_total") > 0);
    const inside = `/proc/${server.pid}/root${disk}`;
    await run("rm", `${inside}/ballast`);
    const after = accepted.at(-1)! + 2;
    const message = body.slice();
    message.set(textBytes(`${after} `));
    await client.send(queue, message);
    accepted.push(after);
    await run("cp", "-r", inside, `${folder.path}/copy`);
    await client.close();
    await server.kill("SIGKILL");
    await using again = await ServerProcess.start({ folder: `${folder.path}/copy` });
    await using reader = await SmpClient.connect(again.address);
    await reader.subscribe(queue);
    const events = reader.events(queue);
    const received: number[] = [];
    while (received.length < accepted.length) {
      const event = await next(events);
      if (event.type === "MSG") received.push(Number(asciiText(event.body.subarray(0, 8)).split(" ")[0]));
      await soon(reader.acknowledge(queue));
    }
    assertEquals(received, accepted);
  },
);
