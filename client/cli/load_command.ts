import { formatAddress } from "../../protocol/mod.ts";
import { readAddress, readArguments, readNumber } from "./arguments.ts";
import { makeSigner, runLoad } from "./load.ts";
import { drawProgress } from "./progress.ts";
import type { Surroundings } from "./surroundings.ts";

/** Milliseconds of load before the measurement. */
const warmUp = 1_000;
const drawInterval = 100;

/** `smp load ADDRESS`: how many messages a second a server passes on, and how long each takes. */
export async function load(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  const given = readArguments(args, {
    options: ["pairs", "connections", "depth", "seconds", "rate"],
    least: 1,
    most: 1,
  });
  const number = (option: "pairs" | "connections" | "depth" | "seconds", fallback: number, most: number) =>
    readNumber(given, option, { fallback, least: 1, most });
  const address = formatAddress(readAddress(given.positional[0]!, given.allowUnverified));
  const seconds = number("seconds", 10, 86_400);
  const options = {
    pairs: number("pairs", 20, 10_000),
    connections: number("connections", 4, 1_000),
    depth: number("depth", 2, 128),
    warmUp,
    measured: seconds * 1000,
  };
  const rate = given.options.rate === undefined
    ? {}
    : { rate: readNumber(given, "rate", { fallback: 0, least: 1, most: 1_000_000 }) };
  const began = performance.now();
  const length = warmUp + options.measured;
  const timer = setInterval(() => drawProgress((performance.now() - began) / length * 0.99), drawInterval);
  try {
    const result = await runLoad(address, { ...options, ...rate }, {
      signer: await makeSigner(),
      signal,
    });
    const { cycles, milliseconds, p50, p99 } = result;
    print({
      type: "load",
      pairs: options.pairs,
      connections: 2 * options.connections,
      messages: cycles,
      perSecond: Math.round(cycles / milliseconds * 1000),
      p50: Math.round(p50 * 100) / 100,
      p99: Math.round(p99 * 100) / 100,
    });
  } finally {
    clearInterval(timer);
    drawProgress(1);
  }
}
