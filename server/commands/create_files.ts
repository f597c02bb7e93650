import type { CliOptions } from "../config/cli.ts";
import type { GivenSettings, ServerConfig } from "../config/config.ts";
import { defaultIni } from "../config/config_file.ts";
import { formatIdentity, generateIdentity, type ServerIdentity } from "../config/identity.ts";
import { workersPath } from "../store/places.ts";
import { exists, iniPath } from "./files.ts";
import { reserveFile, writeNewFile } from "./new_file.ts";
import { Fatal } from "./terminal.ts";

/** Makes the key of a new server, and its ini unless there is one. Throws `Fatal`. */
export async function createFiles(
  options: CliOptions,
  keyFile: string,
  settings: GivenSettings = {},
): Promise<ServerIdentity> {
  // Whoever has reserved the key makes all.
  await using key = await reserveFile(keyFile);
  if (!await exists(iniPath(options))) await writeNewFile(iniPath(options), defaultIni(options, settings));
  const identity = await generateIdentity();
  await key.write(await formatIdentity(identity));
  return identity;
}

/** Throws `Fatal` where there are queues of a server that had another key: no client would come to them any more. */
export async function refuseQueues({ keyFile, storeLogFile }: ServerConfig): Promise<void> {
  for (const path of [storeLogFile, workersPath(storeLogFile)]) {
    // What cannot be read is told by who needs it.
    const size = await Deno.stat(path).then((file) => file.size, () => 0);
    if (size === 0) continue;
    throw new Fatal(
      `There is no ${keyFile}, but queues of a server are in ${path}: put its key back, or say by --config-dir ` +
        "where it is; for a new server, delete the old one first",
    );
  }
}
