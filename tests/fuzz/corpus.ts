import { decodeBase64, encodeBase64 } from "../../protocol/mod.ts";

/** Where the inputs of a target are kept: those that reached code which others do not, and those that once failed. */
function pathOf(target: string): URL {
  return new URL(`corpus/${target.replaceAll(/[^a-z0-9]+/g, "-")}.json`, import.meta.url);
}

/** Reads the inputs of a target; none when there is no file. */
export async function readCorpus(target: string): Promise<Uint8Array<ArrayBuffer>[]> {
  try {
    const texts: string[] = JSON.parse(await Deno.readTextFile(pathOf(target)));
    return texts.map((text) => decodeBase64(text)!);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Writes the inputs of a target, short ones first, so that a change of them can be read. */
export async function writeCorpus(target: string, inputs: readonly Uint8Array[]): Promise<void> {
  const texts = [...new Set(inputs.map((input) => encodeBase64(input)))]
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  await Deno.writeTextFile(pathOf(target), `${JSON.stringify(texts, null, 2)}\n`);
}
