import { counted } from "../../cli/counted.ts";
import type { CliOptions } from "../config/cli.ts";
import { StoreError } from "../store/error.ts";
import { verifyFiles } from "../workers/transfer.ts";
import { readCertificate } from "./certificate_files.ts";
import { exists, iniPath, readConfig, readIdentity, weaknesses } from "./files.ts";
import { Fatal, type Terminal } from "./terminal.ts";

export async function verify(options: CliOptions, { print }: Terminal): Promise<void> {
  let wrong = 0;
  const bad = (line: string) => {
    wrong++;
    print(`wrong: ${line}`);
  };
  const path = iniPath(options);
  const { config, warnings } = await readConfig(options);
  for (const warning of warnings) print(`warning: ${warning}`);
  print(await exists(path) ? `ok: ${path}` : `ok: there is no ${path}, everything is at its default`);

  const identity = await readIdentity(config.keyFile);
  if (identity === null) {
    bad(`there is no ${config.keyFile}; init makes it`);
  } else {
    print(`ok: ${config.keyFile}, transport key hash: ${identity.keyHash}`);
    for (const warning of await weaknesses(options, config, identity)) print(`warning: ${warning}`);
  }

  try {
    const read = await readCertificate(config);
    if (read !== null) print(`ok: ${read.paths.cert} and ${read.paths.key}`);
    if (read?.warning) print(`warning: ${read.warning}`);
  } catch (error) {
    if (!(error instanceof Fatal)) throw error;
    bad(error.message);
  }

  try {
    const { storeLogFile, messagesFile, keyFile } = config;
    const { queues, messages, problems, notices, locked, form } = await verifyFiles(
      { storeLog: storeLogFile, messagesFile },
      [keyFile, path],
    );
    if (locked) {
      print("warning: a server is running with these logs, so that they change while they are read");
    }
    for (const notice of notices) print(`warning: ${notice}`);
    for (const { file, line, what } of problems) bad(`${file}: line ${line}: ${what}`);
    const state = problems.length === 0 ? "ok" : "read";
    const of = form === "one process" ? "" : `, the files of ${form}`;
    print(`${state}: ${counted(queues, "queue")} in ${storeLogFile}${of}`);
    print(`${state}: ${counted(messages, "message")} in ${messagesFile}${of}`);
    if (!config.storeLog) print("warning: the store log is off: start does not read these logs");
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    bad(error.message);
  }
  if (wrong > 0) throw new Fatal(`${wrong} ${wrong === 1 ? "thing is" : "things are"} wrong`);
}
