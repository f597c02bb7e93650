/** What bounds a server. Times are in milliseconds, sizes in bytes; 0 is "no limit" where {@linkcode limitTable} says so. */
export interface Limits {
  /** Connections at a time. */
  readonly connections: number;
  /** Connections at a time of one IPv4 address or IPv6 /64. */
  readonly connectionsPerIp: number;
  /** Connections at a time that are in their handshake. */
  readonly handshakes: number;
  /** Connections at a time of one IPv4 address or IPv6 /64 that are in their handshake. */
  readonly handshakesPerIp: number;
  /** Handshakes a second of one IPv4 address or IPv6 /64; ten times as many may come at once after a pause. */
  readonly handshakesPerSecondPerIp: number;
  /** Milliseconds of work a second that wrongly signed commands of one IPv4 address or IPv6 /64 may cause. */
  readonly refusedTimePerSecondPerIp: number;
  /**
   * Milliseconds of work a second that correctly signed commands of one IPv4 address or IPv6 /64 may cause beyond what
   * they would with usual keys.
   */
  readonly extraTimePerSecondPerIp: number;
  /** Time for a handshake. */
  readonly handshakeTimeout: number;
  /** Time after which a connection that subscribes to nothing is closed when no block has come. */
  readonly idleTimeout: number;
  /** Time after which a connection is closed when no block has come, whatever it subscribes to: its peer is gone. */
  readonly silentTimeout: number;
  /** Time within which a peer must take what is written to it. */
  readonly writeTimeout: number;
  /** Time without running, as its process or machine was stopped, after which a server closes all connections: clients have given up. */
  readonly stallTimeout: number;
  /** Transmissions of one connection that may be in work or wait to be answered. */
  readonly inWork: number;
  /** Queue IDs of one connection on which commands need no signature (extensions.md open1). */
  readonly openedPerConnection: number;
  /** 1: queues can be created; 0: every NEW is refused. */
  readonly newQueues: number;
  /** Queues that one IPv4 address or IPv6 /64 may create in an hour. */
  readonly newQueuesPerHourPerIp: number;
  /** Messages that may wait in a queue. */
  readonly messagesPerQueue: number;
  /** Time after which a message that nobody has read is dropped. */
  readonly messageLifetime: number;
  /** Time after which a suspended queue is removed with its messages. */
  readonly suspendedLifetime: number;
  /** Time after which a queue is removed that was never secured, when nobody subscribes to it and nothing waits in it. */
  readonly unsecuredLifetime: number;
  /** Memory that connections, queues and messages take, or the heap without garbage, above which NEW and SEND are refused. */
  readonly memory: number;
}

export type LimitSource = () => Limits;

export type LimitUnit = "count" | "seconds" | "minutes" | "days" | "MiB" | "on/off";

export interface LimitInfo {
  readonly key: string;
  readonly unit: LimitUnit;
  /** In the unit of {@linkcode Limits}, not in `unit`. */
  readonly default: number;
  readonly zeroIsNone: boolean;
  readonly comment: string;
}

const second = 1000, minute = 60 * second, day = 24 * 60 * minute;

export const unitFactors: Readonly<Record<LimitUnit, number>> = {
  count: 1,
  seconds: second,
  minutes: minute,
  days: day,
  MiB: 2 ** 20,
  "on/off": 1,
};

/** All limits (smp.md Limits). */
export const limitTable: Readonly<Record<keyof Limits, LimitInfo>> = {
  connections: limit("connections", "count", 10_000, "connections at a time"),
  connectionsPerIp: optional(
    "connections_per_ip",
    "count",
    1_000,
    "connections at a time from one IPv4 address or IPv6 /64",
  ),
  handshakes: limit("handshakes", "count", 1_000, "connections at a time that are still in their handshake"),
  handshakesPerIp: optional(
    "handshakes_per_ip",
    "count",
    250,
    "connections at a time from one address that are still in their handshake",
  ),
  handshakesPerSecondPerIp: optional(
    "handshakes_per_second_per_ip",
    "count",
    100,
    "new connections a second from one address; ten times as many may come at once after a pause",
  ),
  refusedTimePerSecondPerIp: optional(
    "refused_ms_per_second_per_ip",
    "count",
    250,
    "milliseconds of work that wrongly signed commands of one address may cause a second, before they wait",
  ),
  extraTimePerSecondPerIp: optional(
    "extra_ms_per_second_per_ip",
    "count",
    500,
    "milliseconds of work beyond that for usual keys that one address may cause a second, before it waits",
  ),
  handshakeTimeout: limit("handshake_timeout_seconds", "seconds", 5 * second, "time for a handshake"),
  idleTimeout: optional(
    "idle_timeout_minutes",
    "minutes",
    15 * minute,
    "a connection without subscriptions is closed when nothing has come from it for so long",
  ),
  silentTimeout: optional(
    "silent_timeout_minutes",
    "minutes",
    day,
    "any connection is closed when nothing has come from it for so long; clients send a PING now and then",
  ),
  writeTimeout: limit(
    "write_timeout_seconds",
    "seconds",
    15 * second,
    "time within which a client must take what is sent to it",
  ),
  stallTimeout: optional(
    "stall_timeout_seconds",
    "seconds",
    10 * second,
    "connections are closed when the server was stopped for so long: their clients have given up",
  ),
  inWork: limit("in_work", "count", 32, "commands of one connection that may be in work at a time"),
  openedPerConnection: limit(
    "opened_per_connection",
    "count",
    4096,
    "queues of one connection on which commands need no signature",
  ),
  newQueues: {
    key: "new_queues",
    unit: "on/off",
    default: 1,
    zeroIsNone: false,
    comment: "off: no new queues; those that exist go on",
  },
  newQueuesPerHourPerIp: optional(
    "new_queues_per_hour_per_ip",
    "count",
    10_000,
    "queues that one address may create in an hour",
  ),
  messagesPerQueue: limit(
    "messages_per_queue",
    "count",
    128,
    "messages that may wait in a queue; an eighth more before it is secured",
  ),
  messageLifetime: optional(
    "message_lifetime_days",
    "days",
    21 * day,
    "messages that nobody has read are dropped after this",
  ),
  suspendedLifetime: optional(
    "suspended_queue_lifetime_days",
    "days",
    7 * day,
    "suspended queues are removed after this, with their messages",
  ),
  unsecuredLifetime: optional(
    "unsecured_queue_lifetime_days",
    "days",
    30 * day,
    "queues never secured are removed after this, when unused and empty",
  ),
  memory: optional(
    "memory_mib",
    "MiB",
    2048 * 2 ** 20,
    "memory that the server holds above which new queues and messages are refused",
  ),
};

/** The limits of a server that was given none. */
export const defaultLimits: Limits = Object.fromEntries(
  Object.entries(limitTable).map(([name, info]) => [name, info.default]),
) as unknown as Limits;

/** Throws `RangeError` that names the limit. */
export function checkLimits(given: Partial<Limits> = {}): Limits {
  const limits: Limits = { ...defaultLimits, ...given };
  for (const [name, info] of Object.entries(limitTable)) {
    const value = limits[name as keyof Limits];
    const problem = limitProblem(info, value);
    if (problem !== null) throw new RangeError(`Cannot use limit ${name}: ${value} is ${problem}`);
  }
  return limits;
}

export function limitProblem({ unit, zeroIsNone }: LimitInfo, value: number): string | null {
  const least = zeroIsNone || unit === "on/off" ? 0 : 1;
  const most = unit === "on/off" ? 1 : unit === "seconds" ? longestTimer : Number.MAX_SAFE_INTEGER;
  if (Number.isSafeInteger(value) && value >= least && value <= most) return null;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return `not a whole number ${range}`;
}

/** The largest delay that timers take: they run at once with a larger one. */
const longestTimer = 2 ** 31 - 1;

function limit(key: string, unit: LimitUnit, value: number, comment: string): LimitInfo {
  return { key, unit, default: value, zeroIsNone: false, comment };
}

function optional(key: string, unit: LimitUnit, value: number, comment: string): LimitInfo {
  return { key, unit, default: value, zeroIsNone: true, comment };
}
