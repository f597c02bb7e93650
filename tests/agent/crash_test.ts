import { assert, assertEquals } from "@std/assert";
import type { StoredKeyPair } from "../../agent/mod.ts";
import { encodeBase64, formatQueueInfo } from "../../mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { smallKeys, storedKeys, TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { soon } from "../support/wait.ts";
import type { ChildOptions } from "./crash_child.ts";

const encoded = (pairs: readonly StoredKeyPair[]) =>
  pairs.map((pair) => [encodeBase64(pair.publicKey), encodeBase64(pair.privateKey)] as const);
const keys = { 1024: encoded(smallKeys), 2048: encoded(storedKeys) };
const script = new URL("crash_child.ts", import.meta.url).pathname;
/** Of the steps one in so many is tried, others each time; see crash_steps_test.ts. */
const isEvery = Deno.args.includes("--every-step");
const strides = { "in 0.3": isEvery ? 1 : 52, "in a session": isEvery ? 1 : 110 } as const;
const [toPeer, fromPeer] = [["a", "b", "c"], ["x", "y", "z"]] as const;

/** What the child prints. */
interface Line {
  readonly id?: number;
  readonly text?: string;
  readonly integrity?: string;
  readonly invitation?: string;
  readonly steps?: number;
  readonly event?: string;
}

/** A run of the child to its end, or its death. */
class Child {
  readonly lines: Line[] = [];
  readonly #process: Deno.ChildProcess;
  readonly ended: Promise<string | null>;
  #seen = () => {};

  constructor(options: ChildOptions) {
    const folder = options.database.slice(0, options.database.lastIndexOf("/"));
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--allow-net=127.0.0.1",
        `--allow-read=${folder}`,
        `--allow-write=${folder}`,
        "--allow-run",
        script,
        JSON.stringify(options),
      ],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stderr = new Response(this.#process.stderr).text();
    this.ended = this.#read().then(async () => {
      const { signal, code } = await this.#process.status;
      const text = await stderr;
      if (signal === null && code !== 0) throw new Error(text);
      return signal;
    });
  }

  /** The invitation, once it is printed; `null` when the child has died before. */
  async invitation(): Promise<string | null> {
    let hasEnded = false;
    const ended = this.ended.then(() => hasEnded = true);
    for (;;) {
      const found = this.lines.find((line) => line.invitation !== undefined)?.invitation;
      if (found !== undefined) return found;
      if (hasEnded) return null;
      await soon(Promise.race([ended, new Promise<void>((resolve) => this.#seen = resolve)]));
    }
  }

  /** Ends it. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.lines.push(...lines.map((line) => JSON.parse(line)));
      this.#seen();
    }
  }
}

/** Runs a child that dies at a step, and again until it has done everything; gives what it printed in all its lives. */
async function live(
  server: SmpServer,
  { role, extensions }: Pick<ChildOptions, "role" | "extensions">,
  dieAt: number,
): Promise<{ readonly lines: readonly Line[]; readonly hasDied: boolean }> {
  await using folder = await temporaryFolder();
  await using peer = await TestAgent.start(server.address, { extensions });
  const invited = role === "joiner" ? formatQueueInfo((await peer.agent.create("child")).invitation) : "";
  const options: ChildOptions = {
    database: `${folder.path}/agent.db`,
    server: server.address,
    role,
    invitation: invited,
    keys,
    dieAt,
    send: toPeer,
    receive: fromPeer.length,
    extensions,
  };
  const lines: Line[] = [];
  let isJoined = role === "joiner";
  let deaths = 0;
  const work = (async () => {
    await peer.next("connected");
    for (const text of fromPeer) await peer.send("child", text);
    for (const text of toPeer) assertEquals(await peer.text("child"), text);
  })();
  // Whatever ends first is told first.
  work.catch(() => {});
  const run = async (dieAt: number) => {
    const child = new Child({ ...options, dieAt });
    if (!isJoined) {
      const invitation = await child.invitation();
      if (invitation !== null) {
        isJoined = true;
        await peer.agent.join(invitation, { alias: "child" });
      }
    }
    const signal = await soon(child.ended).catch((cause) => {
      child.kill();
      const seen = JSON.stringify({
        child: child.lines,
        peer: peer.events,
        commands: [...server.metrics.commands],
      });
      throw new Error(`the child does not end: ${seen}`, { cause });
    });
    lines.push(...child.lines);
    return signal;
  };
  if (await run(dieAt) === "SIGKILL") {
    deaths++;
    assertEquals(await run(0), null);
  }
  await soon(work);
  const wrong = peer.events.filter(({ type }) => type === "message" || type === "error");
  assertEquals(wrong, [], "the other side got nothing twice, and nothing wrong");
  return { lines, hasDied: deaths > 0 };
}

/** How many steps a life had that came to its end. */
function stepsOf(lines: readonly Line[]): number {
  return lines.find((line) => line.steps !== undefined)!.steps!;
}

const children = [
  { role: "initiator", where: "in 0.3", extensions: [] },
  { role: "joiner", where: "in 0.3", extensions: [] },
  { role: "initiator", where: "in a session", extensions: ["session1"] },
  { role: "joiner", where: "in a session", extensions: ["session1"] },
] as const;

for (const { where, ...options } of children) {
  const stride = strides[where];
  Deno.test(`${where} an ${options.role} killed at any step connects all the same, and loses, doubles and reorders nothing`, async () => {
    await using server = await startServer();
    const { lines } = await live(server, options, 0);
    const steps = stepsOf(lines);
    assert(steps > 40, `${steps}`);
    let died = 0;
    const offset = Math.floor(Math.random() * stride);
    const next = Array.from({ length: steps }, (_, i) => i + 1).filter((step) => step % stride === offset);
    const tried = next.length;
    const worker = async () => {
      for (let dieAt = next.shift(); dieAt !== undefined; dieAt = next.shift()) {
        const life = await live(server, options, dieAt).catch((cause) => {
          throw new Error(`killed at step ${dieAt} of ${steps}`, { cause });
        });
        if (life.hasDied) died++;
        // Of the last steps there may be fewer in another life.
        else assert(stepsOf(life.lines) < dieAt, `it did not die at step ${dieAt} of ${stepsOf(life.lines)}`);
        // A message that was told before the kill comes again with its number: the application knows it.
        const texts = new Map<number, string>();
        for (const { id, text, integrity, event } of life.lines) {
          assert(
            event === undefined || event === "down" || event === "up",
            `${dieAt}: ${JSON.stringify(life.lines)}`,
          );
          if (id === undefined) continue;
          assertEquals([texts.get(id) ?? text, integrity], [text, "OK"]);
          texts.set(id, text!);
        }
        assertEquals([...texts.values()], [...fromPeer], `killed at step ${dieAt}`);
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    assert(died > 0, `${died} of ${tried}`);
  });
}
