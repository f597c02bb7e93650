/**
 * All benchmarks, as tables and as JSON: `deno task bench`, or `deno task bench NAME…` for some of them.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { benchAgent } from "./agent.ts";
import { benchCalibration } from "./calibration.ts";
import { benchCluster } from "./cluster.ts";
import { benchConnections } from "./connections.ts";
import { benchCrypto } from "./crypto.ts";
import { benchCycles, benchLargeExponents } from "./cycle.ts";
import { benchExtensions } from "./extensions.ts";
import { benchFlood } from "./flood.ts";
import { benchGrowth } from "./growth.ts";
import { benchNodes } from "./nodes.ts";
import { benchRestart } from "./restart.ts";
import { benchScale } from "./scale.ts";
import { benchStreams } from "./streams.ts";
import { benchTakeover } from "./takeover.ts";
import { writeResults } from "./table.ts";

interface Bench {
  readonly run: () => Promise<void>;
  readonly about: string;
}

const benches: Readonly<Record<string, Bench>> = {
  calibration: { run: benchCalibration, about: "what OpenSSL and the system take, to compare machines" },
  cycle: {
    run: benchCycles,
    about: "how many messages go through a server, what they cost it, how long they take",
  },
  cluster: { run: benchCluster, about: "what several processes make of the same load, beside one" },
  nodes: { run: benchNodes, about: "what three nodes over three NATS servers make of a load" },
  scale: {
    run: benchScale,
    about: "what an idle cluster takes, and what 10 to 1 000 nodes would carry by that",
  },
  takeover: {
    run: benchTakeover,
    about: "how long a cluster with up to a million queues takes to start, and to go on when a node dies",
  },
  exponents: { run: benchLargeExponents, about: "what peers with large exponents get, and others meanwhile" },
  extensions: {
    run: benchExtensions,
    about: "what open1, window1, blocks1 and rekey1 save and cost, beside 0.3",
  },
  flood: { run: benchFlood, about: "what others notice while one address floods the server" },
  connections: { run: benchConnections, about: "what a connection and a queue cost the server" },
  restart: { run: benchRestart, about: "time and memory of a start, by what is in the logs" },
  growth: {
    run: benchGrowth,
    about: "how cost grows with connections and queues; draws docs/performance/*.svg",
  },
  agent: { run: benchAgent, about: "two agents: connecting, messages, starting" },
  streams: { run: benchStreams, about: "a stream from agent to agent: speed, memory, messages beside it" },
  // Last, as it changes what crypto runs on in this process.
  crypto: { run: benchCrypto, about: "what the crypto of a block and of a command takes" },
};

const help = `deno task bench [NAME...]

Runs all benchmarks, or those that are named; prints tables and writes bench-results.json.

${Object.entries(benches).map(([name, { about }]) => `  ${name.padEnd(11)}  ${about}`).join("\n")}`;

if (Deno.args.some((arg) => arg === "--help" || arg === "-h")) {
  console.log(help);
  Deno.exit();
}

const unknown = Deno.args.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  console.error(`there is no benchmark ${unknown[0]}, but ${Object.keys(benches).join(", ")}`);
  Deno.exit(2);
}
for (const name of Deno.args.length > 0 ? Deno.args : Object.keys(benches)) await benches[name]!.run();
await writeResults("bench-results.json");
