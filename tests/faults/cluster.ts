import { setTimeout as pause } from "node:timers/promises";
import { partitionOf } from "../../server/broker/partition.ts";
import type { Random } from "../agent/model/random.ts";
import { CutProxy } from "../support/cut_proxy.ts";
import { Nats } from "../support/nats.ts";
import { steadyPort } from "../support/ports.ts";
import { commandOf, giveKey, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { until } from "../support/wait.ts";
import type { Injected, Target } from "./target.ts";

const ini = `[METRICS]
port: 0

[LIMITS]
connections_per_ip: 0
new_queues_per_hour_per_ip: 0
handshakes_per_ip: 0
handshakes_per_second_per_ip: 0
refused_ms_per_second_per_ip: 0
extra_ms_per_second_per_ip: 0
`;

/** Milliseconds that something is stopped by SIGSTOP. */
const [shortStop, longStop, longestStop] = [2_000, 8_000, 20_000];
/** Milliseconds that all NATS servers are gone. */
const blackout = 7_000;
/** Milliseconds that nothing goes through between a node and all NATS servers: it closes its sessions after 5 s. */
const cut = 12_000;
/** Megabytes of a NATS server's disk. */
const diskSize = 64;

export interface ClusterTargetOptions {
  readonly nodes?: number;
  readonly servers?: 1 | 3;
  /** Puts proxies between nodes and NATS servers, so that they can be cut off from each other. @default false */
  readonly proxies?: boolean;
  /** Gives each NATS server a disk of its own, which can be filled. @default false */
  readonly disks?: boolean;
  /** The folder with the sources. @default the checkout */
  readonly root?: string;
}

interface Running {
  readonly name: string;
  readonly command: Parameters<typeof ServerProcess.spawned>[0];
  server: ServerProcess;
  /** To the NATS servers, in their order. */
  readonly proxies: readonly CutProxy[];
}

/** A cluster of nodes over NATS servers, all in processes of their own. */
export class ClusterTarget implements Target {
  readonly faults: readonly string[];
  readonly forgetsSuspended = false;
  readonly #nats: Nats;
  readonly #nodes: readonly Running[];
  readonly #resources: AsyncDisposableStack;

  private constructor(nats: Nats, nodes: readonly Running[], resources: AsyncDisposableStack) {
    this.#nats = nats;
    this.#nodes = nodes;
    this.#resources = resources;
    const faults = ["kill-node", "restart-node", "freeze-node", "stop-node", "stop-node-long", "kill-nats"];
    faults.push("kill-both", "blackout", "kill-all", "rolling-restart");
    if (nats.servers.length > 1) faults.push("freeze-nats");
    if (nodes.some(({ proxies }) => proxies.length > 0)) faults.push("cut-node", "cut-nats");
    if (nats.servers.every(({ disk }) => disk !== undefined)) faults.push("fill-disk");
    this.faults = faults;
  }

  static async start(
    { nodes: count = 3, servers = 3, proxies: isProxied = false, disks = false, root }: ClusterTargetOptions =
      {},
  ): Promise<ClusterTarget> {
    await using resources = new AsyncDisposableStack();
    const nats = resources.use(await Nats.start({ servers, ...(disks && { disk: diskSize }) }));
    const folder = resources.use(await temporaryFolder());
    const nodes: Running[] = [];
    resources.defer(async () => {
      for (const { server } of nodes) await server[Symbol.asyncDispose]();
    });
    for (let i = 0; i < count; i++) {
      const name = `node-${i + 1}`;
      const path = `${folder.path}/${name}`;
      await Deno.mkdir(path);
      await Deno.writeTextFile(`${path}/smp-server.ini`, ini);
      await giveKey(path);
      const port = `${steadyPort()}`;
      const natsPorts = nats.urls.map((url) => Number(new URL(url).port));
      const proxies = isProxied ? natsPorts.map((port) => resources.use(new CutProxy(port))) : [];
      const all = isProxied ? proxies.map(({ port }) => `nats://127.0.0.1:${port}`) : nats.urls;
      const urls = [...all.slice(i % servers), ...all.slice(0, i % servers)].join();
      const place = ["--config-dir", path, "--log-dir", path, "--host", "127.0.0.1", "--port", port];
      const args = ["start", "-y", ...place, "--cluster", urls, "--node", name];
      const command = {
        command: commandOf(args, { folder: path }),
        ...(root !== undefined && { cwd: root }),
      };
      nodes.push({ name, command, proxies, server: await ServerProcess.spawned(command) });
    }
    const target = new ClusterTarget(nats, nodes, resources.move());
    try {
      await target.recovered();
    } catch (error) {
      await target[Symbol.asyncDispose]();
      throw error;
    }
    return target;
  }

  addresses(): readonly string[] {
    return this.#nodes.map(({ server }) => server.address);
  }

  async inject(fault: string, random: Random): Promise<Injected> {
    const node = this.#nodes[random.below(this.#nodes.length)]!;
    const server = this.#nats.servers[random.below(this.#nats.servers.length)]!;
    switch (fault) {
      case "kill-node":
      case "restart-node": {
        const hits = await this.#owned(node);
        await node.server.kill(fault === "kill-node" ? "SIGKILL" : "SIGTERM");
        node.server = await ServerProcess.spawned(node.command);
        return { what: node.name, hits };
      }
      case "freeze-node":
      case "stop-node":
      case "stop-node-long": {
        const hits = await this.#owned(node);
        const stops = { "freeze-node": shortStop, "stop-node": longStop, "stop-node-long": longestStop };
        node.server.signal("SIGSTOP");
        await pause(stops[fault]);
        node.server.signal("SIGCONT");
        return { what: node.name, hits };
      }
      case "kill-nats":
        await server.kill();
        await pause(random.below(3_000));
        await server.restart();
        return { what: `NATS server ${server.name}`, hits: () => true };
      case "freeze-nats":
        server.stop();
        await pause(longStop);
        server.cont();
        return { what: `NATS server ${server.name}`, hits: () => true };
      case "fill-disk":
        await server.disk!.fill();
        await pause(longestStop);
        await server.disk!.free();
        // A NATS server that could not write has switched its JetStream off until it is started again.
        await server.restart();
        return { what: `the disk of NATS server ${server.name}`, hits: () => true };
      case "blackout":
        for (const each of this.#nats.servers) await each.kill();
        await pause(blackout);
        for (const each of this.#nats.servers) await each.restart();
        return { what: "all NATS servers", hits: () => true };
      case "kill-both":
        await Promise.all([node.server.kill("SIGKILL"), server.kill()]);
        await pause(random.below(3_000));
        await server.restart();
        node.server = await ServerProcess.spawned(node.command);
        return { what: `${node.name} and NATS server ${server.name}`, hits: () => true };
      case "kill-all":
        await Promise.all([
          ...this.#nodes.map(({ server }) => server.kill("SIGKILL")),
          ...this.#nats.servers.map((each) => each.kill()),
        ]);
        for (const each of this.#nats.servers) await each.restart();
        await this.#nats.recovered();
        await Promise.all(this.#nodes.map((each) => this.#startAgain(each)));
        return { what: "all nodes and NATS servers", hits: () => true };
      case "rolling-restart":
        for (const each of this.#nodes) {
          await each.server.kill("SIGTERM");
          await this.#startAgain(each);
          await this.recovered();
        }
        for (const each of this.#nats.servers) {
          await each.kill();
          await each.restart();
          await this.recovered();
        }
        return { what: "all, one after the other", hits: () => true };
      case "cut-node": {
        const hits = await this.#owned(node);
        for (const proxy of node.proxies) proxy.cut();
        await pause(cut);
        for (const proxy of node.proxies) proxy.mend();
        return { what: node.name, hits };
      }
      case "cut-nats": {
        const own = this.#nodes.map(({ proxies }) => proxies[this.#nats.servers.indexOf(server)]!);
        for (const proxy of own) proxy.cut();
        await pause(longStop);
        for (const proxy of own) proxy.mend();
        return { what: `NATS server ${server.name}`, hits: () => true };
      }
      default:
        throw new RangeError(`there is no fault ${fault}`);
    }
  }

  async recovered(): Promise<void> {
    await this.#nats.recovered();
    await until(async () => {
      for (const { server } of this.#nodes) {
        const { notReady, cluster } = await server.status();
        if (notReady !== null || cluster?.nodes.some(({ state }) => state !== "live") !== false) return false;
      }
      return true;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #startAgain(node: Running): Promise<void> {
    node.server = await ServerProcess.spawned(node.command);
  }

  async #owned({ name, server }: Running): Promise<(recipientId: string) => boolean> {
    const partitions = (await server.status()).cluster!.partitions;
    const owned = new Set(partitions.filter(({ owner }) => owner?.node === name).map((one) => one.partition));
    return (recipientId) => owned.has(partitionOf(recipientId, partitions.length));
  }
}
