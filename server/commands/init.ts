import type { CliOptions } from "../config/cli.ts";
import { addressOf, createFiles, iniPath, readConfig, readIdentity } from "./files.ts";
import type { Terminal } from "./terminal.ts";

/** Makes key and ini, or says that they are there. Throws `Fatal`. */
export async function init(options: CliOptions, terminal: Terminal): Promise<void> {
  const { config } = await readConfig(options);
  const { keyFile } = config;
  const found = await readIdentity(keyFile);
  const identity = found ?? await createFiles(options, keyFile);
  terminal.print(
    found === null
      ? `made ${keyFile} and ${iniPath(options)}`
      : `${keyFile} is there already: nothing was changed`,
  );
  terminal.print(`transport key hash: ${identity.keyHash}`);
  terminal.print(`server address: ${addressOf(config, config.port, identity.keyHash)}`);
}
