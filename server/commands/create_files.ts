import type { CliOptions } from "../config/cli.ts";
import type { GivenSettings } from "../config/config.ts";
import { defaultIni } from "../config/config_file.ts";
import { formatIdentity, generateIdentity, type ServerIdentity } from "../config/identity.ts";
import { exists, iniPath } from "./files.ts";
import { reserveFile, writeNewFile } from "./new_file.ts";

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
