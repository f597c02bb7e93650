import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { allStore, NotReadyError, untilReady } from "./nats_ready.ts";
import { steadyPort } from "./ports.ts";
import type { Lack } from "./requires.ts";
import { temporaryFolder } from "./server_process.ts";
import { SmallDisk } from "./small_disk.ts";
import { patience, soon, until } from "./wait.ts";

/** Where `.ci/run` puts the engine, under the home folder. */
const cached = ".cache/simplexmq/nats-server-2.10.27/nats-server";

/** The engine of clusters; `null` where tests have to do without it. */
export const natsServer: string | null = findNatsServer();

/** Why there is no {@linkcode natsServer}. */
export const natsLack: Lack = natsServer === null ? "nats-server is not installed" : null;

function findNatsServer(): string | null {
  const named = variable("NATS_SERVER");
  const home = variable("HOME");
  const paths = named !== undefined ? [named] : ["nats-server", "/usr/sbin/nats-server"];
  if (home !== undefined) paths.push(`${home}/${cached}`);
  return paths.find(isNatsServer) ?? null;
}

/** What may not be read is as if it were not there. */
function variable(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

function isNatsServer(path: string): boolean {
  try {
    return new Deno.Command(path, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

/** What a server is started with. */
interface Place {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly config: string;
  /** Where it stores, when that is not with all else. */
  readonly disk?: SmallDisk;
}

/** A NATS server on a loopback port that stays the same, with JetStream, its files in a temporary folder. */
export class NatsServer implements AsyncDisposable {
  readonly #place: Place;
  #process: Deno.ChildProcess | null = null;

  constructor(place: Place) {
    this.#place = place;
  }

  /** As it is named in what the engine says of its streams. */
  get name(): string {
    return this.#place.name;
  }

  /** Where its clients connect. */
  get url(): string {
    return `nats://127.0.0.1:${this.#place.port}`;
  }

  /** The disk of its own. */
  get disk(): SmallDisk | undefined {
    return this.#place.disk;
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /** Its process ID while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts it, again when it was killed, with the files that it had; resolves when it takes connections. */
  async restart(): Promise<void> {
    await this.kill();
    const { folder, config, port, disk } = this.#place;
    await Deno.writeTextFile(`${folder}/nats.conf`, config);
    const [program, ...args] = [...disk?.wrapper ?? [], natsServer!, "--config", `${folder}/nats.conf`];
    const process = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#process = process;
    let hasEnded = false;
    process.status.then(() => hasEnded = true);
    await until(async () => {
      if (hasEnded) {
        this.#process = null;
        throw new Error(`a NATS server did not start: ${await Deno.readTextFile(`${folder}/nats.log`)}`);
      }
      return await isListening(port);
    });
  }

  /** Copies its files, of a server that is killed; gives what puts them back. */
  async backUp(): Promise<() => Promise<void>> {
    const { folder } = this.#place;
    await copyFolder(`${folder}/jetstream`, `${folder}/backup`);
    return async () => {
      await Deno.remove(`${folder}/jetstream`, { recursive: true });
      await copyFolder(`${folder}/backup`, `${folder}/jetstream`);
    };
  }

  /** Kills it with SIGKILL, if it runs, and waits for its end. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    try {
      process?.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await process?.status;
  }

  /** Freezes it with SIGSTOP: its connections stay open. */
  stop(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Lets it go on after {@linkcode stop}. */
  cont(): void {
    this.#process?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    await (isDirectory ? copyFolder : Deno.copyFile)(`${from}/${name}`, `${to}/${name}`);
  }
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/**
 * Starts new servers, one after the other: those that connect to each other at the same moment may each close the
 * connection that the other keeps. When they do so nevertheless, they take minutes to become a whole cluster, if ever;
 * started again they find each other at once. `becomeReady` rejects when they are none within the given milliseconds:
 * more each time, for a busy machine.
 */
export async function beginTogether(
  servers: readonly NatsServer[],
  becomeReady: (milliseconds: number) => Promise<void>,
): Promise<void> {
  for (const server of servers) await server.restart();
  await untilReady(becomeReady, async () => {
    for (const server of servers) await server.restart();
  });
}

/** How the servers of a test are started. */
export interface NatsOptions {
  /** One, or a cluster of three. @default 1 */
  readonly servers?: 1 | 3;
  /** More lines of the configuration of each. */
  readonly config?: string;
  /** Gives each a disk of its own, of so many megabytes. */
  readonly disk?: number;
}

/** One NATS server, or a cluster of three, which are gone after the test with their files. */
export class Nats implements AsyncDisposable {
  readonly servers: readonly NatsServer[];
  readonly #resources: AsyncDisposableStack;
  /** A stream to see whether the servers store. */
  #probe: string | null = null;

  private constructor(servers: readonly NatsServer[], resources: AsyncDisposableStack) {
    this.servers = servers;
    this.#resources = resources;
  }

  /** Resolves when streams can be made on all of them. */
  static async start({ servers: count = 1, config = "", disk: size }: NatsOptions = {}): Promise<Nats> {
    await using resources = new AsyncDisposableStack();
    const folder = resources.use(await temporaryFolder());
    const ports = Array.from({ length: 2 * count }, () => steadyPort());
    const clusterPorts = ports.slice(count);
    const servers: NatsServer[] = [];
    for (let i = 0; i < count; i++) {
      const [name, own] = [`n${i + 1}`, `${folder.path}/n${i + 1}`];
      await Deno.mkdir(own);
      const disk = size === undefined ? undefined : resources.use(await SmallDisk.make(size));
      const lines = [
        `server_name: ${name}`,
        `listen: "127.0.0.1:${ports[i]}"`,
        `log_file: "${own}/nats.log"`,
        `jetstream { store_dir: "${
          disk?.path ?? own
        }", sync_interval: always, max_mem: 64MB, max_file: 4GB }`,
        config,
      ];
      if (count > 1) {
        const others = clusterPorts.filter((_, other) => other !== i);
        const routes = others.map((port) => `"nats-route://127.0.0.1:${port}"`).join(", ");
        lines.push(`cluster { name: test, listen: "127.0.0.1:${clusterPorts[i]}", routes: [${routes}] }`);
      }
      const place = { name, folder: own, port: ports[i]!, config: lines.join("\n"), ...(disk && { disk }) };
      servers.push(resources.use(new NatsServer(place)));
    }
    const nats = new Nats(servers, resources.move());
    try {
      await beginTogether(servers, (milliseconds) => nats.ready(count === 1 ? patience : milliseconds));
    } catch (error) {
      await nats[Symbol.asyncDispose]();
      throw error;
    }
    return nats;
  }

  /** Where clients connect. */
  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  /** The server of a name. */
  named(name: string): NatsServer {
    const server = this.servers.find((server) => server.name === name);
    if (server === undefined) throw new Error(`there is no NATS server ${name}`);
    return server;
  }

  /** Connects to any of them. Whoever asks for a connection closes it. */
  async connect(options: NodeConnectionOptions = {}): Promise<NatsConnection> {
    return await soon(connect({
      servers: this.urls,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 50,
      timeout: patience,
      ...options,
    }));
  }

  /**
   * Waits, for `milliseconds` at most, until streams can be made and are stored by each of the servers, also those that
   * there are already: then any one may be killed.
   */
  async ready(milliseconds = patience): Promise<void> {
    const connection = await this.connect();
    try {
      const servers = this.servers.map(({ name }) => name);
      this.#probe = await allStore(connection, { servers, milliseconds, probe: this.#probe });
    } finally {
      await connection.close();
    }
  }

  /**
   * Waits, as {@linkcode ready}, for servers that were killed and started again. It happens that one of NATS 2.10.27
   * hears the others after its start, but never answers: it is started once more.
   */
  async recovered(): Promise<void> {
    let mayElect = true;
    await untilReady((milliseconds) => this.ready(milliseconds), async (error) => {
      if (!(error instanceof NotReadyError)) throw error;
      const { absent } = error;
      // Without any leader they may just be about to elect one.
      if (absent.length < this.servers.length || !mayElect) {
        for (const name of absent) await this.named(name).restart();
      }
      mayElect = false;
    });
  }

  /** The server that leads a stream, once there is one. */
  async leaderOf(stream: string): Promise<NatsServer> {
    const connection = await this.connect();
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 2000 });
      let leader: NatsServer | undefined;
      await until(async () => {
        const info = await manager.streams.info(stream).catch(() => null);
        const name = info?.cluster?.leader;
        // One alone does not say that it leads.
        if (info !== null && (name !== undefined || this.servers.length === 1)) {
          leader = name === undefined ? this.servers[0] : this.named(name);
        }
        return leader !== undefined;
      });
      return leader!;
    } finally {
      await connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
