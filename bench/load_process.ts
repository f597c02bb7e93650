/**
 * Load on a server from a process of its own, with commands that were signed beforehand: what it does meanwhile is
 * blocks and sockets. Prints `ready`, and after the measurement one line of JSON.
 *
 * `load_process.ts <address> <options as JSON>`
 */
// deno-lint-ignore-file no-console
import { type LoadOptions, runLoad } from "../client/cli/load.ts";
import { makeSigner, type Signer } from "../client/cli/load_queues.ts";
import { preferOpenSsl } from "../mod.ts";
import { largeKey, signLarge } from "./large_exponent.ts";

/** What a load process is told. */
export interface LoadProcessOptions extends LoadOptions {
  /** Whether the keys are like those of the reference's peers. */
  readonly largeExponent?: boolean;
}

/** Makes a key, of the reference's kind or a usual one. */
export async function signerFor(largeExponent: boolean): Promise<Signer> {
  return largeExponent ? { publicKey: largeKey, sign: signLarge } : await makeSigner();
}

if (import.meta.main) {
  preferOpenSsl();
  const [address, text] = Deno.args;
  const options: LoadProcessOptions = JSON.parse(text!);
  const result = await runLoad(address!, options, {
    signer: await signerFor(options.largeExponent ?? false),
    progress: { ready: () => console.log("ready"), measured: () => console.log("measured") },
  });
  console.log(JSON.stringify(result));
}
