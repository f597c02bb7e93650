/** Makes the files of a folder those of some workers, and after some operations waits to be killed. */
import { type LogIo, systemIo } from "../../../server/store/log_io.ts";
import { prepareFolder } from "../../support/worker_files.ts";

const [folder, workers, most] = Deno.args;
let operations = 0;

async function counted<T>(work: Promise<T>): Promise<T> {
  const result = await work;
  if (++operations < Number(most)) return result;
  await Deno.stdout.write(new TextEncoder().encode("here\n"));
  for (;;) if (await Deno.stdin.read(new Uint8Array(1)) === null) Deno.exit(1);
}

const io: LogIo = {
  ...systemIo,
  async open(path, isNew) {
    const file = await counted(systemIo.open(path, isNew));
    return { ...file, write: (bytes) => counted(file.write(bytes)), sync: () => counted(file.sync()) };
  },
  rename: (from, to) => counted(systemIo.rename(from, to)),
  remove: (path) => counted(systemIo.remove(path)),
  syncDirectory: (path) => counted(systemIo.syncDirectory(path)),
};

(await prepareFolder(folder!, Number(workers), { io }))[Symbol.dispose]();
