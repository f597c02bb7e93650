import type { CliOptions } from "../config/cli.ts";
import type { GivenSettings } from "../config/config.ts";
import { createFiles, refuseQueues } from "./create_files.ts";
import { addressOf, exists, iniPath, readConfig, readIdentity } from "./files.ts";
import { Fatal, type Terminal } from "./terminal.ts";

export async function init(
  options: CliOptions,
  settings: GivenSettings,
  terminal: Terminal,
): Promise<void> {
  await checkIni(options, settings);
  const { config } = await readConfig(options);
  const { keyFile } = config;
  const found = await readIdentity(keyFile);
  if (found === null) await refuseQueues(config);
  const identity = found ?? await createFiles(options, keyFile, settings);
  terminal.print(
    found === null
      ? `made ${keyFile} and ${iniPath(options)}`
      : `${keyFile} is there already: nothing was changed`,
  );
  terminal.print(`transport key hash: ${identity.keyHash}`);
  terminal.print(`server address: ${addressOf(config, config.port, identity.keyHash)}`);
}

async function checkIni(
  { configDir, logDir, yes, repair }: CliOptions,
  settings: GivenSettings,
): Promise<void> {
  const path = iniPath({ configDir, logDir });
  if (!await exists(path)) return;
  const { config } = await readConfig({ configDir, logDir, yes, repair });
  for (const name of ["host", "port", "webSocketPort", "storeLog"] as const) {
    if (settings[name] !== undefined && settings[name] !== config[name]) {
      throw new Fatal(
        `${path} is there already and says something else: nothing was changed; edit it instead`,
      );
    }
  }
}
