import { type AdminPlace, placeBeside } from "../../cli/admin/place.ts";

/** Where the server with these files is administered. */
export function adminPlace(configDir: string, os: typeof Deno.build.os = Deno.build.os): AdminPlace {
  return placeBeside(`${configDir}/smp-server`, { program: "server", os });
}
