import { openSslPaths } from "../../protocol/mod.ts";
import { Fatal } from "../commands/terminal.ts";
import type { ServerConfig } from "../config/config.ts";
import { directoryOf } from "../store/log_io.ts";
import type { SocketFolder } from "./socket_folder.ts";
import type { WorkerCommand } from "./worker_process.ts";

export interface WorkerPlace {
  /** Ports that are 0 are free ones, which the worker chooses. */
  readonly settings: ServerConfig;
  readonly sockets: SocketFolder;
}

const root = new URL("../../", import.meta.url);
const webSocketVariables = ["WS_NO_BUFFER_UTIL", "WS_NO_UTF_8_VALIDATE"];

/** Throws `Fatal` that says what this program is to be started with. */
export function checkCanSpawn({ standalone }: Pick<typeof Deno.build, "standalone"> = Deno.build): void {
  // Its permissions are in it, and would be those of the workers too; nor is it known where it lies when it is made.
  if (standalone) {
    throw new Fatal("Cannot start workers: a compiled executable cannot; run server/main.ts with deno");
  }
  const command = Deno.execPath();
  if (Deno.permissions.querySync({ name: "run", command }).state === "granted") return;
  throw new Fatal(
    `Cannot start workers: pass --allow-run=${command} before the name of the program`,
  );
}

/**
 * How this program is run as a worker. It gets what it needs of the permissions that this process has, which is less
 * than this process has: neither may it run programs nor read the key or the ini.
 */
export function workerCommand(place: WorkerPlace): WorkerCommand {
  return {
    program: Deno.execPath(),
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--unstable-net",
      "--v8-flags=--max-semi-space-size=4",
      ...sourceArgs(),
      ...permissionArgs(place),
      programPath("server/main.ts"),
      "worker",
    ],
  };
}

/** Those of `deploy/`, as nothing says which ones this process was started with. */
function sourceArgs(): readonly string[] {
  if (root.protocol !== "file:") return [];
  return [
    "--no-config",
    `--import-map=${programPath("import_map.json")}`,
    `--lock=${programPath("deploy/server.lock")}`,
    "--frozen",
  ];
}

export function permissionArgs({ settings, sockets }: WorkerPlace): readonly string[] {
  const { host, port, webSocketPort, tlsCert, tlsPort, storeLog, storeLogFile, messagesFile } = settings;
  const hasTls = tlsCert !== null;
  const ports = [port, ...(webSocketPort === null ? [] : [webSocketPort]), ...(hasTls ? [tlsPort] : [])];
  const files = [
    ...(storeLog ? [directoryOf(storeLogFile), directoryOf(messagesFile)] : []),
    sockets.path,
  ];
  const isGranted = (descriptor: Deno.PermissionDescriptor) =>
    Deno.permissions.querySync(descriptor).state === "granted";
  return [
    listArg("net", [
      ...ports.map((port) => hostAndPort(host, port)),
      // Those of IPv4, where a socket of IPv6 does not have them.
      ...(host === "::" ? ports.map((port) => hostAndPort("0.0.0.0", port)) : []),
      // What does TLS is on a free port.
      ...(hasTls ? ["127.0.0.1"] : []),
      ...sockets.names.map((name) => `unix:${name}`),
    ]),
    listArg("read", files.filter((path) => isGranted({ name: "read", path }))),
    listArg("write", files.filter((path) => isGranted({ name: "write", path }))),
    listArg(
      "env",
      webSocketPort === null && !hasTls
        ? []
        : webSocketVariables.filter((variable) => isGranted({ name: "env", variable })),
    ),
    listArg("ffi", openSslPaths.filter((path) => isGranted({ name: "ffi", path }))),
  ].flat();
}

function listArg(name: string, values: readonly string[]): readonly string[] {
  return values.length === 0 ? [] : [`--allow-${name}=${[...new Set(values)].map(quoted).join(",")}`];
}

/** Commas separate the values. */
function quoted(value: string): string {
  return value.replaceAll(",", ",,");
}

function hostAndPort(host: string, port: number): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === 0 ? name : `${name}:${port}`;
}

function programPath(path: string): string {
  const url = new URL(path, root);
  return url.protocol === "file:" ? decodeURIComponent(url.pathname) : url.href;
}
