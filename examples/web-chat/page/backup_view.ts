import { BackupError, readBackup, writeBackup } from "@simplexmq/smp/agent/backup";
import { type IndexedDbStore, StoreError } from "@simplexmq/smp/agent/indexeddb";
import { bindDialog } from "./dialogs.ts";
import { element, make } from "./dom.ts";
import { restoreServers, storedServers } from "./servers.ts";

/** What is done around the reading of a backup. */
export interface ImportActions {
  /** Before it is read. */
  before(): Promise<void>;
  /** When it could not be read, after `before`. */
  failed(): Promise<void>;
  done(): void;
}

/** Lets a button write everything to an encrypted file. */
export function bindExport(button: HTMLElement, store: IndexedDbStore): void {
  const passphrase = element("export-passphrase", HTMLInputElement);
  const submit = async () => {
    try {
      const stream = writeBackup(store, { passphrase: passphrase.value, servers: storedServers() });
      const file = await new Response(stream).blob();
      download(file, `smp-web-chat-${new Date().toISOString().slice(0, 10)}.backup`);
      return null;
    } catch (error) {
      return describe(error);
    }
  };
  bindDialog("export-dialog", button, { submit, done: () => {} });
}

/** Lets a button read such a file into a store without conversations. */
export function bindImport(button: HTMLElement, store: IndexedDbStore, actions: ImportActions): void {
  const file = element("import-file", HTMLInputElement);
  const passphrase = element("import-passphrase", HTMLInputElement);
  const submit = async () => {
    const [chosen] = file.files ?? [];
    if (chosen === undefined) return "Choose the file of a backup.";
    try {
      await actions.before();
      try {
        const { servers } = await readBackup(store, chosen.stream(), { passphrase: passphrase.value });
        restoreServers(servers);
      } catch (error) {
        await actions.failed();
        throw error;
      }
      return null;
    } catch (error) {
      return describe(error);
    }
  };
  bindDialog("import-dialog", button, { submit, done: actions.done });
}

/** Lets a button set, change or remove the passphrase of the store; `changed` is called when that is done. */
export function bindPassphrase(
  button: HTMLElement,
  store: IndexedDbStore,
  changed: () => Promise<void>,
): void {
  const next = element("new-passphrase", HTMLInputElement);
  const submit = async () => {
    try {
      await store.changePassphrase(next.value === "" ? null : next.value);
      await changed();
      return null;
    } catch (error) {
      // There is none to be removed.
      return error instanceof StoreError && error.code === "PASSPHRASE" ? null : describe(error);
    }
  };
  bindDialog("passphrase-dialog", button, { submit, done: () => {} });
}

function download(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function describe(error: unknown): string {
  if (!(error instanceof BackupError)) return String(error);
  switch (error.code) {
    case "PASSPHRASE":
      return "The passphrase is not that of the file.";
    case "FORMAT":
      return "This file is no backup.";
    case "VERSION":
      return "A newer version of this page has written the file.";
    case "DAMAGED":
    case "INVALID":
      return "The file is damaged: nothing was read.";
    case "NOT_EMPTY":
      return "There are conversations already: import into a browser without any, or forget everything first.";
    case "SIZE":
      return `${error.message}.`;
    default:
      return error.code satisfies never;
  }
}
