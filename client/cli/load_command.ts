import { UsageError } from "../../cli/options.ts";
import { blockSizes, formatAddress, largestWindow } from "../../protocol/mod.ts";
import { readArguments, readNumber, readServer } from "./arguments.ts";
import { type LoadOptions, neededExtensions, runLoad } from "./load.ts";
import { makeSigner } from "./load_queues.ts";
import { drawProgress } from "./progress.ts";
import type { Surroundings } from "./surroundings.ts";

/** Milliseconds of load before the measurement. */
const warmUp = 1_000;
const drawInterval = 100;

/** `smp load ADDRESS`: how many messages a second a server passes on, and how long each takes. */
export async function load(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  const given = readArguments(args, {
    options: ["pairs", "connections", "depth", "seconds", "rate", "window", "block-size"],
    flags: ["open", "rekey"],
    names: ["ADDRESS"],
  });
  const number = (option: "pairs" | "connections" | "depth" | "seconds", fallback: number, most: number) =>
    readNumber(given, option, { fallback, least: 1, most });
  const { server, password } = readServer(given.positional[0]!, given.allowUnverified);
  const seconds = number("seconds", 10, 86_400);
  const optional = (option: "rate" | "window", most: number) =>
    given.options[option] === undefined
      ? {}
      : { [option]: readNumber(given, option, { fallback: 1, least: 1, most }) };
  const window = optional("window", largestWindow);
  const options: LoadOptions = {
    pairs: number("pairs", 20, 10_000),
    connections: number("connections", 4, 1_000),
    // Fewer would not fill the window.
    depth: number("depth", window.window ?? 2, 128),
    warmUp,
    measured: seconds * 1000,
    ...optional("rate", 1_000_000),
    ...window,
    ...readBlockSize(given.options["block-size"]),
    open: given.flags.has("open"),
    rekey: given.flags.has("rekey"),
  };
  const began = performance.now();
  const length = warmUp + options.measured;
  const timer = setInterval(() => drawProgress((performance.now() - began) / length * 0.99), drawInterval);
  try {
    const result = await runLoad(formatAddress(server), options, {
      signer: await makeSigner(),
      signal,
      ...(password !== undefined && { password }),
    });
    const { cycles, milliseconds, bodyLength, p50, p99 } = result;
    await print({
      type: "load",
      pairs: options.pairs,
      connections: 2 * options.connections,
      extensions: neededExtensions(options).map(([extension]) => extension),
      messages: cycles,
      bytes: bodyLength,
      perSecond: Math.round(cycles / milliseconds * 1000),
      p50: Math.round(p50 * 100) / 100,
      p99: Math.round(p99 * 100) / 100,
    });
  } finally {
    clearInterval(timer);
    drawProgress(1);
  }
}

function readBlockSize(text: string | undefined): { readonly blockSize?: number } {
  if (text === undefined) return {};
  const blockSize = text === "large" ? Math.max(...blockSizes) : Number(text);
  if (blockSizes.includes(blockSize)) return { blockSize };
  throw new UsageError(`--block-size ${text} is not one of ${blockSizes.join(", ")} and large`);
}
