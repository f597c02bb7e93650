// Makes tests/vectors/ratchet.json: `node make_ratchet_vectors.mjs <URL of @noble/post-quantum's ml-kem.js>` prints it.
// What it prints is always the same, and was made by session.mjs, which is independent of this project.

import process from "node:process";
import { ratchetVectors } from "./ratchet_vectors.mjs";
import { loadMlKem } from "./session.mjs";

process.stdout.write(ratchetVectors(await loadMlKem(process.argv[2])));
