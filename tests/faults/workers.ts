import { setTimeout as pause } from "node:timers/promises";
import { workerOf, workerPartitions } from "../../server/workers/partition.ts";
import type { Random } from "../agent/model/random.ts";
import { steadyPort } from "../support/ports.ts";
import { commandOf, giveKey, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { until } from "../support/wait.ts";
import { childrenOf, isAlive } from "../support/worker_processes.ts";
import type { Injected, Target } from "./target.ts";

const ini = `[STORE_LOG]
enable: on
messages: journal

[METRICS]
port: 0

[LIMITS]
connections_per_ip: 0
new_queues_per_hour_per_ip: 0
handshakes_per_ip: 0
handshakes_per_second_per_ip: 0
refused_ms_per_second_per_ip: 0
extra_ms_per_second_per_ip: 0
`;

/** Milliseconds that a worker is stopped by SIGSTOP. */
const [shortStop, longStop] = [3_000, 20_000];
/** Milliseconds after the start of a worker in which it is killed again, at most. */
const secondKill = 500;

/** How a {@linkcode WorkersTarget} is started. */
export interface WorkersTargetOptions {
  /** @default 2 */
  readonly workers?: number;
  /** A copy of the sources. @default this checkout */
  readonly root?: string;
}

/** A server with workers, in processes of its own. */
export class WorkersTarget implements Target {
  readonly faults = ["kill-worker", "kill-twice", "stop-short", "stop-long", "kill-parent", "kill-all"];
  readonly forgetsSuspended = true;
  readonly #folder: AsyncDisposable & { readonly path: string };
  readonly #workers: number;
  readonly #command: Parameters<typeof ServerProcess.spawned>[0];
  #server: ServerProcess;
  #restarts = 0;

  private constructor(
    { folder, workers, command, server }: {
      readonly folder: AsyncDisposable & { readonly path: string };
      readonly workers: number;
      readonly command: Parameters<typeof ServerProcess.spawned>[0];
      readonly server: ServerProcess;
    },
  ) {
    this.#folder = folder;
    this.#workers = workers;
    this.#command = command;
    this.#server = server;
  }

  /** Resolves when all workers serve. */
  static async start({ workers = 2, root }: WorkersTargetOptions = {}): Promise<WorkersTarget> {
    const folder = await temporaryFolder();
    const { path } = folder;
    await Deno.writeTextFile(`${path}/smp-server.ini`, ini);
    await giveKey(path);
    const place = [
      "--config-dir",
      path,
      "--log-dir",
      path,
      "--host",
      "127.0.0.1",
      "--port",
      `${steadyPort()}`,
    ];
    const args = ["start", "-y", ...place, "--workers", `${workers}`];
    const command = {
      command: commandOf(args, { folder: path, workers: true }),
      ...(root !== undefined && { cwd: root }),
    };
    try {
      const server = await ServerProcess.spawned(command);
      return new WorkersTarget({ folder, workers, command, server });
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  addresses(): readonly string[] {
    return [this.#server.address];
  }

  async inject(fault: string, random: Random): Promise<Injected> {
    const worker = random.below(this.#workers);
    const ofWorker = (recipientId: string) => this.#workerOf(recipientId) === worker;
    switch (fault) {
      case "kill-worker":
        await this.#kill(worker);
        return { what: `worker ${worker + 1}`, hits: ofWorker };
      case "kill-twice": {
        await this.#kill(worker);
        const after = random.below(secondKill);
        await until(async () => (await childrenOf(this.#server.pid)).length === this.#workers);
        await pause(after);
        // It may have no files yet: whoever is not one of the others.
        const others = await this.#pids();
        const pid = (await childrenOf(this.#server.pid)).find((pid) =>
          [...others].every(([other, its]) => other === worker || its !== pid)
        );
        if (pid !== undefined) {
          Deno.kill(pid, "SIGKILL");
          this.#restarts++;
        }
        return { what: `worker ${worker + 1}, again ${after} ms after its start`, hits: ofWorker };
      }
      case "stop-short":
      case "stop-long": {
        const pid = await this.#pid(worker);
        Deno.kill(pid, "SIGSTOP");
        await pause(fault === "stop-short" ? shortStop : longStop);
        Deno.kill(pid, "SIGCONT");
        return { what: `worker ${worker + 1}`, hits: ofWorker };
      }
      case "kill-parent":
      case "kill-all": {
        const children = await childrenOf(this.#server.pid);
        Deno.kill(this.#server.pid, "SIGKILL");
        if (fault === "kill-all") { for (const pid of children) Deno.kill(pid, "SIGKILL"); }
        await this.#server.end();
        await until(async () => !(await Promise.all(children.map(isAlive))).includes(true));
        this.#restarts = 0;
        this.#server = await ServerProcess.spawned(this.#command);
        return { what: "all", hits: () => true };
      }
      default:
        throw new RangeError(`there is no fault ${fault}`);
    }
  }

  async recovered(): Promise<void> {
    await until(async () => {
      const { workers, notReady } = await this.#server.status();
      return workers?.ready === this.#workers && workers.restarts >= this.#restarts && notReady === null;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const children = await childrenOf(this.#server.pid);
    await this.#server[Symbol.asyncDispose]();
    await until(async () => !(await Promise.all(children.map(isAlive))).includes(true));
    await this.#folder[Symbol.asyncDispose]();
  }

  #workerOf(recipientId: string): number {
    return workerOf(recipientId, { workers: this.#workers, partitions: workerPartitions });
  }

  async #kill(worker: number): Promise<void> {
    Deno.kill(await this.#pid(worker), "SIGKILL");
    this.#restarts++;
  }

  async #pid(worker: number): Promise<number> {
    let pid: number | undefined;
    await until(async () => (pid = (await this.#pids()).get(worker)) !== undefined);
    return pid!;
  }

  /** The processes by the number of the worker that each is, as the files say that it has open. */
  async #pids(): Promise<Map<number, number>> {
    const pids = new Map<number, number>();
    for (const pid of await childrenOf(this.#server.pid)) {
      const { stdout } = await new Deno.Command("sh", {
        args: ["-c", `ls -l /proc/${pid}/fd 2>/dev/null || true`],
      })
        .output();
      const [, worker] = /\.g\d+-w(\d+)/.exec(new TextDecoder().decode(stdout)) ?? [];
      if (worker !== undefined) pids.set(Number(worker), pid);
    }
    return pids;
  }
}
