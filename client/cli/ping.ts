import { SmpClient } from "../smp_client.ts";
import { readArguments, readNumber, readServer } from "./arguments.ts";
import type { Surroundings } from "./surroundings.ts";

/** `smp ping ADDRESS`: what a server can, how long a connection takes, and an answer. */
export async function ping(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  const given = readArguments(args, { options: ["count"], names: ["ADDRESS"] });
  const count = readNumber(given, "count", { fallback: 4, least: 1, most: 1_000_000 });
  const { allowUnverified } = given;
  const { server } = readServer(given.positional[0]!, allowUnverified);
  const began = performance.now();
  await using client = await SmpClient.connect(server, { allowUnverified, signal });
  const milliseconds = rounded(performance.now() - began);
  const { protocolVersion, extensions, isForwardSecret: forwardSecret } = client;
  await print({ type: "connected", milliseconds, protocolVersion, extensions, forwardSecret });
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const sent = performance.now();
    await client.ping();
    times.push(performance.now() - sent);
    await print({ type: "pong", milliseconds: rounded(times.at(-1)!) });
  }
  const sorted = times.toSorted((a, b) => a - b);
  await print({
    type: "summary",
    count,
    least: rounded(sorted[0]!),
    median: rounded(median(sorted)),
    most: rounded(sorted.at(-1)!),
  });
}

/** The middle of sorted numbers; of the two in the middle their mean. */
export function median(sorted: readonly number[]): number {
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}

/** Milliseconds with three decimals. */
function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
