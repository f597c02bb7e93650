import { IndexedDbStore, type IndexedDbStoreOptions, StoreError } from "@simplexmq/smp/agent/indexeddb";
import { bindImport } from "./backup_view.ts";
import { element } from "./dom.ts";
import { FileStore } from "./file_store.ts";
import { findInvitation } from "./invitation.ts";
import { forgetNotifications } from "./notifications.ts";
import { forgetOthersRead } from "./read_marks.ts";
import type { Reserve } from "./reserve.ts";
import { showSection, useItHere } from "./sections.ts";
import { forgetPasswords } from "./passwords.ts";
import { forgetServers } from "./servers.ts";
import { databaseName } from "./session.ts";
import type { Tabs } from "./tabs.ts";

const openedElsewhere = "The chat is open in another tab.";
const invitationElsewhere =
  "The invitation was opened in the tab in which the chat is open: go there to join.";

/**
 * Opens the store, asking for the passphrase, or on the first visit whether there is to be one, and before it is taken
 * from another tab. With `taken` another tab has it, which the text says. Throws `StoreError`.
 */
export async function openStore(
  tabs: Tabs,
  reserve: Reserve,
  taken: string | null = null,
): Promise<IndexedDbStore> {
  const options = { makeRoom: () => reserve.give() };
  let store = await openUnlocked(tabs, options, taken);
  while ((await store.connections()).length === 0) {
    tabs.hasChat = true;
    // Of the last conversation, whose page was left while it was deleted.
    forgetOthersRead();
    await FileStore.delete();
    const closed = await Promise.race([welcome(store), store.closed]);
    if (closed === null) break;
    tabs.hasChat = false;
    store = await openUnlocked(tabs, options, lostText(closed));
  }
  tabs.hasChat = true;
  return store;
}

/** What is said when a store was lost. */
export function lostText({ code, message }: StoreError): string {
  return code === "IN_USE" ? "The chat was opened in another tab." : `${message}.`;
}

/** Deletes everything that the page has stored, when the person confirms it, and starts anew. */
export async function forgetEverything(close: () => Promise<void>): Promise<void> {
  const question =
    "Delete all conversations and keys in this browser? This cannot be undone: only a backup could bring them back.";
  if (!confirm(question)) return;
  await close();
  forgetOthersRead();
  forgetNotifications();
  forgetServers();
  forgetPasswords();
  await FileStore.delete();
  try {
    await IndexedDbStore.delete(databaseName);
  } catch (error) {
    if (!(error instanceof StoreError && error.code === "IN_USE")) throw error;
    alert("Close all other tabs of this page: everything is deleted then.");
  }
  location.reload();
}

type Options = Pick<IndexedDbStoreOptions, "makeRoom" | "passphrase">;

async function openUnlocked(tabs: Tabs, options: Options, taken: string | null): Promise<IndexedDbStore> {
  try {
    return await openHere(tabs, options, taken);
  } catch (error) {
    if (!isCode(error, "PASSPHRASE")) throw error;
  }
  return await unlock(tabs, options);
}

/** Opens it, at once or when the person wants it to be taken from another tab. */
async function openHere(
  tabs: Tabs,
  options: Options,
  taken: string | null,
): Promise<IndexedDbStore> {
  if (taken === null) {
    const opening = IndexedDbStore.open(databaseName, options).catch((error) => {
      if (isCode(error, "IN_USE")) return null;
      throw error;
    });
    const invitation = findInvitation(location.hash);
    let isTaken = false;
    const other = tabs.other(invitation).then(() => {
      isTaken = true;
      return null;
    });
    const store = await Promise.race([opening, other]);
    if (store !== null) return store;
    // The other tab may be closing just now: then nobody has to ask for it.
    const late = await Promise.race([
      opening.then((store) => store ?? new Promise<never>(() => {})),
      useItHere(isTaken && invitation !== null ? invitationElsewhere : openedElsewhere).then(() => opening),
    ]);
    if (late !== null) return late;
  } else await useItHere(taken);
  return await IndexedDbStore.open(databaseName, { ...options, steal: true });
}

function isCode(error: unknown, code: StoreError["code"]): boolean {
  return error instanceof StoreError && error.code === code;
}

const texts = {
  welcome: {
    text:
      "Messages between two people, end-to-end encrypted in the browser. There are no accounts: keys and " +
      "messages are stored in this browser alone.",
    label: "Passphrase (optional)",
    note:
      "Encrypts keys and messages in this browser. Without it nobody can read them again. You are asked for it " +
      "each time you open this page.",
  },
  unlock: {
    text: "Keys and messages in this browser are encrypted.",
    label: "Passphrase",
    note: "",
  },
} as const;

/** Asks whether there is to be a passphrase, or a backup to be read; resolves when the store is as the person wants it. */
async function welcome(store: IndexedDbStore): Promise<null> {
  const setPassphrase = async (passphrase: string) => {
    if (passphrase !== "") await store.changePassphrase(passphrase);
  };
  const { promise: imported, resolve } = Promise.withResolvers<null>();
  bindImport(element("start-import", HTMLButtonElement), store, {
    before: () => setPassphrase(element("passphrase", HTMLInputElement).value),
    failed: async () => {
      if (element("passphrase", HTMLInputElement).value !== "") await store.changePassphrase(null);
    },
    done: () => resolve(null),
  });
  return await Promise.race([imported, ask("welcome", setPassphrase).then(() => null)]);
}

function unlock(tabs: Tabs, options: Options): Promise<IndexedDbStore> {
  return ask("unlock", (passphrase) => openHere(tabs, { ...options, passphrase }, null));
}

/** Shows the form until `open` has worked. */
function ask<T>(kind: keyof typeof texts, open: (passphrase: string) => Promise<T>): Promise<T> {
  const form = element("start-form", HTMLFormElement);
  const input = element("passphrase", HTMLInputElement);
  const problem = element("start-error", HTMLElement);
  const anew = element("start-anew", HTMLButtonElement);
  const { text, label, note } = texts[kind];
  element("start-text", HTMLElement).textContent = text;
  element("passphrase-label", HTMLElement).textContent = label;
  element("start-note", HTMLElement).textContent = note;
  input.required = kind === "unlock";
  input.autocomplete = kind === "unlock" ? "current-password" : "new-password";
  anew.hidden = kind === "welcome";
  anew.onclick = () => void forgetEverything(() => Promise.resolve());
  element("start-import", HTMLButtonElement).hidden = kind === "unlock";
  showSection("start");
  if (kind === "unlock") input.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      problem.textContent = "";
      const button = form.querySelector("button")!;
      button.disabled = true;
      try {
        resolve(await open(input.value));
        input.value = "";
      } catch (error) {
        problem.textContent = isCode(error, "PASSPHRASE") ? "The passphrase is wrong." : String(error);
        showSection("start");
      }
      button.disabled = false;
    };
  });
}
