import { digestWith } from "../../protocol/mod.ts";
import type { AgentStore } from "../store/store.ts";

/** Frames that are read at a time: each can have more than a MiB. */
const batchSize = 16;

/** A digest with the frames of a connection that have some numbers, and have no receipt yet. */
export async function digestOver(
  store: Pick<AgentStore, "frames">,
  connection: string,
  { digest, ranges }: {
    readonly digest: Uint8Array<ArrayBuffer>;
    readonly ranges: readonly (readonly [from: number, to: number])[];
  },
): Promise<Uint8Array<ArrayBuffer>> {
  let united = digest;
  for (const [from, to] of ranges) {
    for (let after = from - 1; after < to;) {
      const frames = await store.frames(connection, after, batchSize);
      for (const { number, frame } of frames) {
        if (number <= to) united = await digestWith(united, frame);
      }
      if (frames.length < batchSize) break;
      after = frames.at(-1)!.number;
    }
  }
  return united;
}
