import { SmpClient } from "../smp_client.ts";
import { readAddress, readArguments, readNumber } from "./arguments.ts";
import type { Print } from "./print.ts";

/** `smp ping ADDRESS`: how long a connection takes, and an answer. */
export async function ping(args: readonly string[], print: Print): Promise<void> {
  const given = readArguments(args, { options: ["count"], least: 1, most: 1 });
  const count = readNumber(given, "count", { fallback: 4, least: 1, most: 1_000_000 });
  const { allowUnverified } = given;
  const address = readAddress(given.positional[0]!, allowUnverified);
  const began = performance.now();
  await using client = await SmpClient.connect(address, { allowUnverified });
  print({ type: "connected", milliseconds: rounded(performance.now() - began) });
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const sent = performance.now();
    await client.ping();
    times.push(performance.now() - sent);
    print({ type: "pong", milliseconds: rounded(times.at(-1)!) });
  }
  const sorted = times.toSorted((a, b) => a - b);
  print({
    type: "summary",
    count,
    least: rounded(sorted[0]!),
    median: rounded(sorted[sorted.length >> 1]!),
    most: rounded(sorted.at(-1)!),
  });
}

/** Milliseconds with three decimals. */
function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
