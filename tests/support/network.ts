import type { Lack } from "./requires.ts";
import { soon } from "./wait.ts";

/** How the connection between the two sides is. */
export type Condition = "good" | "cut" | "slow and lossy" | "1 Mbit/s" | "5 Mbit/s";

const device = { client: "smp0", server: "smp1" };
const addresses = { client: "10.77.0.1", server: "10.77.0.2" };

/** What a slow connection is made with: a queue of half a second drains at that rate. */
const slow = {
  "1 Mbit/s": ["tbf", "rate", "1mbit", "burst", "16kb", "latency", "500ms"],
  "5 Mbit/s": ["tbf", "rate", "5mbit", "burst", "16kb", "latency", "500ms"],
} as const;

/** Two network namespaces with a cable between them, which can be pulled out. */
export class TestNetwork implements AsyncDisposable {
  /** Where the server is, as the client's side reaches it. */
  readonly serverAddress = addresses.server;
  /** Whether the kernel can delay and lose packets by chance, known once the connection was slow and lossy. */
  hasNetem = false;
  readonly #holders: Record<"client" | "server", Deno.ChildProcess>;

  private constructor(holders: Record<"client" | "server", Deno.ChildProcess>) {
    this.#holders = holders;
  }

  /** Why this machine has none, found by making one. */
  static async lack(): Promise<Lack> {
    await using network = await TestNetwork.#make();
    if (network === null) return "network namespaces with a cable between them cannot be made";
    return await network.#worsen() ? null : "tc cannot make a connection slow";
  }

  /** Makes both sides. */
  static async create(): Promise<TestNetwork> {
    const network = await TestNetwork.#make();
    if (network === null) throw new Error("network namespaces cannot be made");
    return network;
  }

  /** `null` when it cannot be made. */
  static async #make(): Promise<TestNetwork | null> {
    const hold = ["sh", "-c", "echo ready; exec sleep 600"];
    try {
      const client = spawn(["unshare", "--user", "--map-root-user", "--net", ...hold]);
      if (!await isReady(client)) return null;
      const server = spawn([...entering(client.pid), "unshare", "--net", ...hold]);
      const network = new TestNetwork({ client, server });
      if (await isReady(server) && await network.#connect()) return network;
      await network[Symbol.asyncDispose]();
      return null;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  /** What a command must begin with to be run on a side. */
  wrapper(side: "client" | "server"): string[] {
    return entering(this.#holders[side].pid);
  }

  /** Changes the cable: cut, packets vanish without a word to anybody. */
  async set(condition: Condition): Promise<void> {
    await this.#run("client", ["ip", "link", "set", device.client, condition === "cut" ? "down" : "up"]);
    for (const side of ["client", "server"] as const) {
      await this.#run(side, ["tc", "qdisc", "del", "dev", device[side], "root"]);
    }
    const isMade = condition === "slow and lossy"
      ? await this.#worsen()
      : condition in slow
      ? await this.#shape(slow[condition as keyof typeof slow])
      : true;
    if (!isMade) throw new Error("the connection cannot be made worse");
  }

  async #worsen(): Promise<boolean> {
    const netem = ["netem", "delay", "30ms", "20ms", "loss", "5%", "reorder", "20%"];
    // Where the kernel has no netem: a queue of a few packets, which drops what is more, and drains slowly.
    const narrow = ["tbf", "rate", "2mbit", "burst", "5kb", "limit", "15kb"];
    this.hasNetem = await this.#shape(netem);
    return this.hasNetem || await this.#shape(narrow);
  }

  /** Both ways through a queue of that kind; `false` when this kernel has none. */
  async #shape(kind: readonly string[]): Promise<boolean> {
    for (const side of ["client", "server"] as const) {
      const command = ["tc", "qdisc", "add", "dev", device[side], "root", ...kind];
      if (!await this.#run(side, command)) return false;
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const holder of Object.values(this.#holders)) {
      holder.kill("SIGKILL");
      await holder.stdout.cancel();
      await holder.status;
    }
  }

  async #connect(): Promise<boolean> {
    const commands: readonly (readonly ["client" | "server", string])[] = [
      ["client", `ip link add ${device.client} type veth peer name ${device.server}`],
      ["client", `ip link set ${device.server} netns ${this.#holders.server.pid}`],
      ...(["client", "server"] as const).flatMap((side) =>
        [
          [side, `ip addr add ${addresses[side]}/24 dev ${device[side]}`],
          [side, `ip link set ${device[side]} up`],
          [side, "ip link set lo up"],
        ] as const
      ),
    ];
    for (const [side, command] of commands) if (!await this.#run(side, command.split(" "))) return false;
    return true;
  }

  async #run(side: "client" | "server", command: readonly string[]): Promise<boolean> {
    const [file, ...args] = [...this.wrapper(side), ...command];
    return (await soon(new Deno.Command(file!, { args, stderr: "null" }).output())).success;
  }
}

function entering(pid: number): string[] {
  return ["nsenter", "--target", `${pid}`, "--user", "--net", "--preserve-credentials", "--"];
}

function spawn([file, ...args]: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(file!, { args, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
}

/** Whether a holder has begun to hold its namespace. */
async function isReady(holder: Deno.ChildProcess): Promise<boolean> {
  const reader = holder.stdout.getReader();
  const { value } = await soon(reader.read());
  reader.releaseLock();
  if (value !== undefined) return true;
  await holder.status;
  return false;
}
