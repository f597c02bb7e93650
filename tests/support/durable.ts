import { Metrics } from "../../server/observe/metrics.ts";
import { type DurableOptions, DurableStores } from "../../server/store/durable.ts";

/** A temporary folder that is gone after the test. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "smp-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** The files of stores in a folder. */
export function storePaths(folder: string) {
  return {
    storeLog: `${folder}/smp-server-store.log`,
    messagesFile: `${folder}/smp-server-messages.log`,
  };
}

/** Opens the stores in a folder, by default with a journal and without syncs. */
export function openStores(folder: string, options: Partial<DurableOptions> = {}): Promise<DurableStores> {
  return DurableStores.open({
    ...storePaths(folder),
    messages: "journal",
    restoreMessages: true,
    fsync: "off",
    fsyncInterval: 1000,
    metrics: new Metrics(),
    // A log survives what its hook throws; a test must not.
    log: (message, error) => reportError(new Error(message, { cause: error })),
    ...options,
  });
}
