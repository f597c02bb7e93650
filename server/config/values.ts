import { isIPv6 } from "node:net";
import { plainHost } from "../../cli/plain_host.ts";
import { isPassword } from "../../protocol/mod.ts";
import { isNetwork, passwordRule } from "./new_queue_access.ts";
import { type LimitInfo, limitProblem, unitFactors } from "./limits.ts";

export type Read<T> = { readonly value: T } | { readonly allowed: string };

export function readPort(value: string): Read<number> {
  const port = Number(value);
  return /^\d{1,5}$/.test(value) && port <= 65535 ? { value: port } : { allowed: "a number from 0 to 65535" };
}

export function readSwitch(value: string): Read<boolean> {
  const names = new Map([["on", true], ["off", false]]);
  const found = names.get(value.toLowerCase());
  return found === undefined ? { allowed: "on or off" } : { value: found };
}

export function readText(value: string): Read<string> {
  return value === "" ? { allowed: "a text that is not empty" } : { value };
}

/** What is listened on: the system knows what it is. */
export function readHost(value: string): Read<string> {
  return value === "" ? readText(value) : { value: plainHost(value) };
}

/** transport.md Address. */
export function readHostName(value: string): Read<string> {
  const host = plainHost(value);
  if (isIPv6(host) && !host.includes("%")) return { value: host };
  return /^[^\s#:[\]@]+$/.test(value) ? { value } : { allowed: "a host name or an IP address" };
}

export function readHostNames(value: string): Read<readonly string[]> {
  const names = value.split(",").map((name) => name.trim());
  return names.every((name) => /^[\w-]+(\.[\w-]+)*$/.test(name))
    ? { value: names.map((name) => name.toLowerCase()) }
    : { allowed: "host names without ports, separated by commas" };
}

/** `anyone`, or `password` and addresses. */
export function readCreate(value: string): Read<readonly string[]> {
  const items = value.split(",").map((item) => item.trim());
  const words = items.map((item) => item.toLowerCase());
  if (words.length === 1 && words[0] === "anyone") return { value: words };
  return words.every((word) => word === "password" || isNetwork(word))
    ? { value: words }
    : { allowed: 'anyone, or a list of password, IP addresses and networks like "10.0.0.0/8"' };
}

export function readPassword(value: string): Read<string> {
  return isPassword(value) ? { value } : { allowed: passwordRule };
}

export function readMilliseconds(value: string): Read<number> {
  const most = 3_600_000;
  const milliseconds = Number(value);
  const isRight = /^\d+$/.test(value) && milliseconds >= 1 && milliseconds <= most;
  return isRight ? { value: milliseconds } : { allowed: `a whole number from 1 to ${most}` };
}

export function readPartitions(value: string): Read<number> {
  const partitions = Number(value);
  const isRight = /^\d{1,3}$/.test(value) && partitions >= 1 && partitions <= 256 &&
    (partitions & partitions - 1) === 0;
  return isRight ? { value: partitions } : { allowed: "a power of two from 1 to 256" };
}

export function oneOf<const T extends string>(...values: readonly T[]): (value: string) => Read<T> {
  return (text) => {
    const found = values.find((value) => value === text.toLowerCase());
    return found === undefined ? { allowed: values.join(" or ") } : { value: found };
  };
}

export function readLimit(info: LimitInfo, text: string): Read<number> {
  if (info.unit === "on/off") {
    const read = readSwitch(text);
    return "allowed" in read ? read : { value: read.value ? 1 : 0 };
  }
  const factor = unitFactors[info.unit];
  const value = /^\d{1,15}$/.test(text) ? Number(text) * factor : NaN;
  if (limitProblem(info, value) === null) return { value };
  const least = info.zeroIsNone ? 0 : 1;
  const most = info.unit === "seconds" ? ` to ${Math.floor((2 ** 31 - 1) / factor)}` : "";
  const unit = info.unit === "count" ? "" : ` (${info.unit})`;
  return { allowed: `a whole number from ${least}${most}${unit}` };
}

export function writeLimit(info: LimitInfo): string {
  if (info.unit === "on/off") return info.default === 1 ? "on" : "off";
  return `${info.default / unitFactors[info.unit]}`;
}
