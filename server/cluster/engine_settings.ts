import type { ServerConfig } from "../config/config.ts";
import type { EngineOptions } from "./engine.ts";

/** How settings say that NATS is connected to. */
export function engineOf(
  settings: ServerConfig,
  address: string,
): Pick<EngineOptions, "address" | "allowPlain" | "user" | "password" | "nkeyFile" | "caFile"> {
  const { clusterUser: user, clusterPassword: password, clusterNkeyFile: nkeyFile, clusterCaFile: caFile } =
    settings;
  return {
    address,
    allowPlain: settings.clusterInsecure,
    ...(user !== null && { user }),
    ...(password !== null && { password }),
    ...(nkeyFile !== null && { nkeyFile }),
    ...(caFile !== null && { caFile }),
  };
}
