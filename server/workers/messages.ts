import { longestPassword } from "../../protocol/mod.ts";
import { checkLimits, type Limits, limitTable } from "../config/limits.ts";
import { mostWorkers } from "../config/cli.ts";
import type { ServerConfig } from "../config/config.ts";
import { checkNewQueueAccess, type NewQueueAccess } from "../config/new_queue_access.ts";
import { bucketNames, type UsageReport } from "../guard/server_usage.ts";
import type { Certificate } from "../net/certificate.ts";
import { type LogLevel, logLevels } from "../../cli/logger.ts";
import {
  amountOf,
  ControlError,
  countOf,
  type JsonObject,
  listOf,
  nullOr,
  objectOf,
  oneOf,
  textOf,
} from "../../cli/json.ts";
import { mostPartitions } from "../broker/partition.ts";
import type { WorkerPaths } from "./form.ts";
import { readGauges, readMetrics, type Snapshot } from "./snapshot.ts";

/** Networks in one report, for each thing that is counted by network. */
export const mostNetworks = 4096;

/** The first message to a worker. */
export interface StartMessage {
  readonly type: "start";
  readonly worker: number;
  readonly workers: number;
  readonly partitions: number;
  readonly files: WorkerPaths;
  /** How often this worker was started. */
  readonly incarnation: number;
  readonly settings: ServerConfig;
  readonly repair: boolean;
  /** The transport key, PEM. */
  readonly key: string;
  /** For WebSockets over TLS. */
  readonly certificate: Certificate | null;
  /** Private folder for Unix sockets between the workers. */
  readonly sockets: string;
}

/** A worker is asked whether a handshake is new; it is the one that remembers it. */
export interface AskMessage {
  readonly type: "ask";
  readonly id: number;
  readonly digest: number;
}

export interface AnswerMessage {
  readonly type: "answer";
  readonly id: number;
  readonly isNew: boolean;
}

export type ToWorker =
  | StartMessage
  /** Another worker serves, or does no more. */
  | { readonly type: "peer"; readonly worker: number; readonly incarnation: number; readonly isUp: boolean }
  | { readonly type: "limits"; readonly limits: Limits }
  | { readonly type: "create"; readonly access: NewQueueAccess }
  | { readonly type: "certificate"; readonly certificate: Certificate }
  | { readonly type: "log-level"; readonly level: LogLevel }
  | { readonly type: "sample"; readonly id: number }
  | { readonly type: "others"; readonly usage: UsageReport }
  | AskMessage
  | AnswerMessage
  /** Finish and answer what is in work within `deadline` milliseconds, take nothing new, say `stopped`. */
  | { readonly type: "stop"; readonly deadline: number }
  /** All workers have stopped: nobody needs this one any more. */
  | { readonly type: "end" };

export interface ReadyMessage {
  readonly type: "ready";
  readonly port: number;
  readonly webSocketPort: number | null;
  readonly tlsPort: number | null;
  readonly keyHash: string;
  readonly engine: string;
}

export type FromWorker =
  | ReadyMessage
  | ({ readonly type: "sample"; readonly id: number | null } & Snapshot)
  | { readonly type: "usage"; readonly usage: UsageReport }
  | {
    readonly type: "log";
    readonly level: LogLevel;
    readonly message: string;
    readonly error: string | null;
  }
  /** It cannot go on; the last message. */
  | { readonly type: "fatal"; readonly message: string }
  | { readonly type: "stopped" }
  | (AskMessage & { readonly worker: number })
  | AnswerMessage;

/** Throws `ControlError`. */
export function readFromWorker(value: unknown): FromWorker {
  const given = objectOf(value, "a message");
  const { type } = given;
  switch (type) {
    case "ready":
      return {
        type,
        port: portOf(given["port"]),
        webSocketPort: nullOr(given["webSocketPort"], portOf),
        tlsPort: nullOr(given["tlsPort"], portOf),
        keyHash: textOf(given["keyHash"], "keyHash", 100),
        engine: textOf(given["engine"], "engine", 100),
      };
    case "sample":
      return {
        type,
        id: nullOr(given["id"], idOf),
        metrics: readMetrics(given["metrics"]),
        gauges: readGauges(given["gauges"]),
        notReady: nullOr(given["notReady"], (reason) => textOf(reason, "notReady", 200)),
      };
    case "usage":
      return { type, usage: readUsage(given["usage"]) };
    case "log":
      return {
        type,
        level: oneOf(given["level"], "level", logLevels),
        message: textOf(given["message"], "message", 10_000),
        error: nullOr(given["error"], (error) => textOf(error, "error", 10_000)),
      };
    case "fatal":
      return { type, message: textOf(given["message"], "message", 10_000) };
    case "stopped":
      return { type };
    case "ask":
      return { ...readAsk(given), worker: workerOf(given["worker"]) };
    case "answer":
      return readAnswer(given);
    default:
      throw new ControlError("a message has no known type");
  }
}

/** Throws `ControlError`. */
export function readToWorker(value: unknown): ToWorker {
  const given = objectOf(value, "a message");
  const { type } = given;
  switch (type) {
    case "start":
      return {
        type,
        worker: workerOf(given["worker"]),
        workers: countOf(given["workers"], "workers", mostWorkers),
        partitions: countOf(given["partitions"], "partitions", mostPartitions),
        files: filesOf(objectOf(given["files"], "files")),
        incarnation: countOf(given["incarnation"], "incarnation"),
        settings: {
          // The parent is the program that has read and checked them.
          ...objectOf(given["settings"], "settings") as unknown as ServerConfig,
          limits: limitsOf(objectOf(given["settings"], "settings")["limits"]),
        },
        repair: oneOf(given["repair"], "repair", [true, false]),
        key: textOf(given["key"], "key", 2 ** 20),
        certificate: nullOr(given["certificate"], certificateOf),
        sockets: textOf(given["sockets"], "sockets"),
      };
    case "peer":
      return {
        type,
        worker: workerOf(given["worker"]),
        incarnation: countOf(given["incarnation"], "incarnation"),
        isUp: oneOf(given["isUp"], "isUp", [true, false]),
      };
    case "limits":
      return { type, limits: limitsOf(given["limits"]) };
    case "create":
      return { type, access: accessOf(given["access"]) };
    case "certificate":
      return { type, certificate: certificateOf(given["certificate"]) };
    case "log-level":
      return { type, level: oneOf(given["level"], "level", logLevels) };
    case "sample":
      return { type, id: idOf(given["id"]) };
    case "others":
      return { type, usage: readUsage(given["usage"]) };
    case "ask":
      return readAsk(given);
    case "answer":
      return readAnswer(given);
    case "end":
      return { type };
    case "stop":
      return { type, deadline: countOf(given["deadline"], "deadline") };
    default:
      throw new ControlError("a message has no known type");
  }
}

function readAsk(given: JsonObject): AskMessage {
  return { type: "ask", id: idOf(given["id"]), digest: countOf(given["digest"], "digest") };
}

function readAnswer(given: JsonObject): AnswerMessage {
  return { type: "answer", id: idOf(given["id"]), isNew: oneOf(given["isNew"], "isNew", [true, false]) };
}

function readUsage(value: unknown): UsageReport {
  const given = objectOf(value, "usage");
  return {
    connections: countOf(given["connections"], "connections"),
    handshakes: countOf(given["handshakes"], "handshakes"),
    held: amountOf(given["held"], "held"),
    counts: listOf(given["counts"], "counts", {
      most: mostNetworks,
      read(entry) {
        const [network, connections, handshakes] = listOf(entry, "counts", { most: 3, read: (part) => part });
        return [networkOf(network), countOf(connections, "counts"), countOf(handshakes, "counts")] as const;
      },
    }),
    poured: listOf(given["poured"], "poured", {
      most: mostNetworks,
      read(entry) {
        const [bucket, network, amount] = listOf(entry, "poured", { most: 3, read: (part) => part });
        return [
          oneOf(bucket, "bucket", bucketNames),
          networkOf(network),
          amountOf(amount, "poured"),
        ] as const;
      },
    }),
  };
}

function networkOf(value: unknown): string {
  return textOf(value, "network", 64);
}

function limitsOf(value: unknown): Limits {
  const given = objectOf(value, "limits");
  try {
    return checkLimits(
      Object.fromEntries(
        Object.keys(limitTable).map((name) => [name, countOf(given[name], name)]),
      ) as unknown as Limits,
    );
  } catch (error) {
    throw new ControlError((error as Error).message);
  }
}

function accessOf(value: unknown): NewQueueAccess {
  if (value === "anyone") return value;
  const { password, addresses } = objectOf(value, "access");
  const access = {
    ...(password !== undefined && { password: textOf(password, "password", longestPassword) }),
    addresses: listOf(addresses, "addresses", {
      most: Infinity,
      read: (address) => textOf(address, "addresses", 64),
    }),
  };
  try {
    checkNewQueueAccess(access);
  } catch (error) {
    throw new ControlError((error as Error).message);
  }
  return access;
}

function certificateOf(value: unknown): Certificate {
  const { cert, key } = objectOf(value, "certificate");
  return { cert: textOf(cert, "cert", 2 ** 20), key: textOf(key, "key", 2 ** 20) };
}

function filesOf(given: JsonObject): WorkerPaths {
  return {
    storeLog: textOf(given["storeLog"], "storeLog"),
    messagesFile: textOf(given["messagesFile"], "messagesFile"),
    aliases: nullOr(given["aliases"], (path) => textOf(path, "aliases")),
  };
}

function workerOf(value: unknown): number {
  return countOf(value, "worker", mostWorkers - 1);
}

function idOf(value: unknown): number {
  return countOf(value, "id");
}

function portOf(value: unknown): number {
  return countOf(value, "port", 65_535);
}
