import { assert } from "@std/assert";
import { readCorpus } from "./corpus.ts";
import { targets } from "./targets.ts";
import { soon } from "../support/wait.ts";

for (const target of targets) {
  Deno.test(`the corpus of "${target.name}" is taken or refused as it should be`, async () => {
    const inputs = await readCorpus(target.name);
    assert(inputs.length > 0, "there is no corpus: deno task fuzz --save makes one");
    for (const input of [...target.seeds.map((seed) => new Uint8Array(seed)), ...inputs]) {
      await soon(Promise.resolve(target.run(input)));
    }
  });
}
