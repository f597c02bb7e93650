import { type ProcessOptions, ServerProcess } from "./server_process.ts";

/** The ini of a server that can have workers, with metrics on a free port. */
export const workersIni = "[STORE_LOG]\nenable: on\nmessages: journal\n\n[METRICS]\nport: 0\n\n[LIMITS]\n";

/** Starts a server with workers, on free loopback ports. */
export function startWorkers(
  options: ProcessOptions & { readonly count?: number },
): Promise<ServerProcess> {
  const { count = 2, ini = workersIni } = options;
  return ServerProcess.start({ ...options, ini, workers: true, args: ["-y", "--workers", `${count}`] });
}

/** The processes that a process has started and that have not ended. */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "cat /proc/[0-9]*/stat 2>/dev/null"] })
    .output();
  const children: number[] = [];
  for (const line of new TextDecoder().decode(stdout).split("\n")) {
    const [, child, state, parent] = /^(\d+) \(.*\) (\w) (\d+) /.exec(line) ?? [];
    if (Number(parent) === pid && state !== "Z") children.push(Number(child));
  }
  return children;
}

/** Whether a process has not ended. */
export async function isAlive(pid: number): Promise<boolean> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `cat /proc/${pid}/stat 2>/dev/null || true`],
  })
    .output();
  const [, state] = /^\d+ \(.*\) (\w) /.exec(new TextDecoder().decode(stdout)) ?? [];
  return state !== undefined && state !== "Z";
}
