import { setTimeout as pause } from "node:timers/promises";
import { type Condition, TestNetwork } from "../support/network.ts";
import { SmallDisk } from "../support/small_disk.ts";
import { Program, type Transferred, Transfers, whenThere } from "./transfers.ts";

/** What became of a file under a fault of its surroundings. */
export interface Surrounded {
  readonly what: string;
  /** Milliseconds that it took. */
  readonly time: number;
  readonly problems: readonly string[];
}

/** Milliseconds of a cut, and in which a file must come at 1 Mbit/s. */
const cutTime = 20_000, patience = 540_000;

/** Why this machine cannot make the faults; `null`: it can. */
export async function lackOfSurroundings(): Promise<string | null> {
  const lack = await TestNetwork.lack();
  return lack &&
    `${lack}: it takes root, or a system that gives users namespaces, with unshare, nsenter, ip and tc`;
}

/** Sends a file over a connection of each kind, between the agents and their server, each in a network of its own. */
export async function* overNetworks(
  bytes: number,
  signal: AbortSignal,
): AsyncGenerator<Surrounded, void, void> {
  for (
    const [condition, isCut] of [["1 Mbit/s", false], ["5 Mbit/s", true], ["slow and lossy", false]] as const
  ) {
    if (!signal.aborted) yield await over(condition, bytes, { isCut, signal });
  }
}

async function over(
  condition: Condition,
  bytes: number,
  { isCut, signal }: { readonly isCut: boolean; readonly signal: AbortSignal },
): Promise<Surrounded> {
  await using network = await TestNetwork.create();
  const wrappers = { server: network.wrapper("server"), agent: network.wrapper("client") };
  await using transfers = await Transfers.start({ host: network.serverAddress, wrappers, patience, signal });
  await network.set(condition);
  const cut = async () => {
    await network.set("cut");
    await pause(cutTime, undefined, { signal }).catch(() => {});
    await network.set(condition);
  };
  const faults = isCut ? [{ when: whenThere(bytes / 2), what: cut }] : [];
  const { time, problems } = await transfers.transfer(bytes, faults);
  await network.set("good");
  return { what: described(condition, { isCut, hasNetem: network.hasNetem }), time, problems };
}

function described(
  condition: Condition,
  { isCut, hasNetem }: { readonly isCut: boolean; readonly hasNetem: boolean },
): string {
  if (isCut) return `${condition}, cut for ${cutTime / 1000} s in the middle`;
  if (condition !== "slow and lossy") return condition;
  return hasNetem
    ? "5 % lost, 30 ± 20 ms later each way, some before others (netem)"
    : "2 Mbit/s through a queue of 15 kB that drops what is more (this kernel has no netem)";
}

/** Receives a file onto a disk that is full before it is whole, and goes on when there is room. */
export async function ontoFullDisk(bytes: number, signal: AbortSignal): Promise<Surrounded> {
  const begun = performance.now();
  const megabytes = Math.ceil(bytes / 1e6) + 2;
  await using disk = await SmallDisk.make(megabytes);
  await using transfers = await Transfers.start({ signal });
  const inside = (...args: string[]) => new Program([...disk.wrapper, ...args]);
  const ballast = inside(
    "sh",
    "-c",
    `head -c ${Math.round(bytes / 2) + 2_000_000} /dev/zero > "$1"`,
    "sh",
    `${disk.path}/ballast`,
  );
  await ballast.ended;
  const sha256 = await transfers.newFile(bytes);
  const sender = transfers.agent(["send-file", "bob", "file", "--db", "a.db"]);
  const receive = () =>
    transfers.agent(["receive-file", "alice", "--to", disk.path, "--db", "b.db"], {
      wrapper: disk.wrapper,
      folder: disk.path,
    });
  const problems: string[] = [];
  try {
    const first = receive();
    const ended = await inTime(first, signal);
    if (!ended) throw new Error("interrupted, or the full disk was not told");
    const said = first.lines.join("\n");
    if (first.code !== 1 || !said.includes("no room")) problems.push(`ended with ${first.code}: ${said}`);
    if (sender.code !== null) problems.push(`the sender ended: ${sender.lines.join("\n")}`);
    await disk.free();
    const second = receive();
    await inTime(second, signal);
    await inTime(sender, signal);
    if (!second.lines.some((line) => line.startsWith("going on"))) {
      problems.push(`did not go on: ${second.lines.join("\n")}`);
    }
    const codes = [second.code, sender.code].join();
    if (codes !== "0,0") {
      problems.push(`ended with ${codes}: ${[...second.lines, ...sender.lines].join("\n")}`);
    }
    const look = inside("sh", "-c", 'ls -A "$1"; sha256sum "$1/file"', "sh", disk.path);
    await look.ended;
    const [name, sum = ""] = look.lines;
    if (look.lines.length !== 2 || name !== "file" || !sum.startsWith(sha256)) {
      problems.push(look.lines.join("\n"));
    }
  } finally {
    await sender.signal("SIGINT");
  }
  return {
    what: "full disk of the receiver, room after it said so",
    time: performance.now() - begun,
    problems,
  };
}

/** Whether a program ends by itself before long; else it is ended. */
async function inTime(program: Program, signal: AbortSignal): Promise<boolean> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
  const end = () => program.signal("SIGINT");
  late.addEventListener("abort", end, { once: true });
  await program.ended;
  late.removeEventListener("abort", end);
  return !late.aborted;
}

/** What became of a large file. */
export interface Large extends Transferred {
  /** Of as many chunks as it has, in blocks of 64 KiB, so many were sent more than once. */
  readonly chunks: number;
  readonly again: number;
}

/** Bytes of a chunk in a block of 64 KiB. */
const chunkLength = 65_016;

/** Sends one large file; what sends it, what receives it and their server are killed at a quarter each. */
export async function large(bytes: number, signal: AbortSignal): Promise<Large> {
  const preload = new URL("count_chunks.ts", import.meta.url).pathname;
  await using transfers = await Transfers.start({ patience: 60_000 + bytes / 1_000, preload, signal });
  const faults = (["sender", "receiver", "server"] as const).map((what, at) => {
    return { when: whenThere(bytes * (at + 1) / 4), what };
  });
  const transferred = await transfers.transfer(bytes, faults);
  const chunks = Math.ceil(bytes / chunkLength);
  const { size } = await Deno.stat(`${transfers.folder}/sent`);
  return { ...transferred, chunks, again: size - chunks };
}
