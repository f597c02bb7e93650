import { deleteDB } from "idb";
import { IndexedDbStore, StoreError } from "@simplexmq/smp/agent/indexeddb";
import { element } from "./dom.ts";
import { databaseName } from "./session.ts";

/** Opens the store, asking for the passphrase, or on the first visit whether there is to be one. Throws `StoreError`. */
export async function openStore(): Promise<IndexedDbStore> {
  let store: IndexedDbStore;
  try {
    store = await IndexedDbStore.open(databaseName);
  } catch (error) {
    if (!(error instanceof StoreError && error.code === "PASSPHRASE")) throw error;
    return await ask("unlock", (passphrase) => IndexedDbStore.open(databaseName, { passphrase }));
  }
  if ((await store.connections()).length > 0) return store;
  return await ask("welcome", async (passphrase) => {
    await store[Symbol.asyncDispose]();
    return await IndexedDbStore.open(databaseName, passphrase === "" ? {} : { passphrase });
  });
}

/** Deletes everything that the page has stored, when the person confirms it, and starts anew. */
export async function forgetEverything(close: () => Promise<void>): Promise<void> {
  const question =
    "Delete all conversations and keys in this browser? This cannot be undone, and nobody has a copy.";
  if (!confirm(question)) return;
  await close();
  await deleteDB(databaseName);
  location.reload();
}

const texts = {
  welcome: {
    text:
      "Messages between two people, end-to-end encrypted in the browser. There are no accounts: keys and " +
      "messages are stored in this browser alone.",
    label: "Passphrase (optional)",
    note:
      "Encrypts keys and messages in this browser. It cannot be changed later, and without it nobody can read " +
      "them again. You are asked for it each time you open this page.",
  },
  unlock: {
    text: "Keys and messages in this browser are encrypted.",
    label: "Passphrase",
    note: "",
  },
} as const;

/** Shows the form until `open` has worked. */
function ask(
  kind: keyof typeof texts,
  open: (passphrase: string) => Promise<IndexedDbStore>,
): Promise<IndexedDbStore> {
  const start = element("start", HTMLElement);
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
  start.hidden = false;
  if (kind === "unlock") input.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      problem.textContent = "";
      const button = form.querySelector("button")!;
      button.disabled = true;
      try {
        resolve(await open(input.value));
        start.hidden = true;
      } catch (error) {
        problem.textContent = error instanceof StoreError && error.code === "PASSPHRASE"
          ? "The passphrase is wrong."
          : String(error);
      }
      button.disabled = false;
    };
  });
}
