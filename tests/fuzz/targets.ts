import { agentTargets } from "./agent_targets.ts";
import { clusterTargets } from "./cluster_targets.ts";
import { protocolTargets } from "./protocol_targets.ts";
import { serverTargets } from "./server_targets.ts";
import { sessionTargets } from "./session_targets.ts";
import { linkTargets } from "./link_targets.ts";
import type { Target } from "./target.ts";

/** Everything that takes bytes from outside. */
export const targets: readonly Target[] = [
  ...protocolTargets,
  ...sessionTargets,
  ...serverTargets,
  ...linkTargets,
  ...agentTargets,
  ...clusterTargets,
];
