// Makes tests/vectors/stream.json: `node make_stream_vectors.mjs` prints it. What it prints is always the same, and was
// made by stream.mjs, which is independent of this project.

import process from "node:process";
import { streamVectors } from "./stream_vectors.mjs";

process.stdout.write(streamVectors());
