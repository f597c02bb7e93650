import { element } from "./dom.ts";
import { type Found, mostFound } from "./search.ts";

/** What is done in the open conversation. */
export interface SearchActions {
  /** What has a text, newest first. */
  find(text: string, signal: AbortSignal): Promise<readonly Found[]>;
  /** Shows a message or file. */
  show(found: Found): Promise<void>;
}

/** Lets people search in the open conversation. */
export function bindSearch({ find, show }: SearchActions): { close(): void } {
  const form = element("search", HTMLFormElement);
  const input = element("search-text", HTMLInputElement);
  const status = element("search-status", HTMLElement);
  const older = element("search-older", HTMLButtonElement);
  const newer = element("search-newer", HTMLButtonElement);
  let searching = new AbortController();
  let found: readonly Found[] = [];
  let at = 0;

  const clear = () => {
    searching.abort();
    found = [];
    status.textContent = "";
    older.disabled = newer.disabled = true;
  };
  const go = async (to: number) => {
    at = to;
    older.disabled = at + 1 >= found.length;
    newer.disabled = at === 0;
    const count = found.length < mostFound ? `${found.length}` : `${mostFound} or more`;
    status.textContent = `${at + 1} of ${count}`;
    await show(found[at]!);
  };
  const close = () => {
    clear();
    form.hidden = true;
    input.value = "";
  };

  form.onsubmit = async (event) => {
    event.preventDefault();
    clear();
    const { signal } = searching = new AbortController();
    const text = input.value.trim();
    if (text === "") return;
    status.textContent = "Searching…";
    try {
      const all = await find(text, signal);
      if (signal.aborted) return;
      found = all;
      if (found.length === 0) status.textContent = "Nothing found";
      else await go(0);
    } catch (error) {
      if (!signal.aborted) status.textContent = String(error);
    }
  };
  // What was found is not what is written any more.
  input.oninput = clear;
  older.onclick = () => void go(at + 1);
  newer.onclick = () => void go(at - 1);
  const opener = element("search-open", HTMLButtonElement);
  element("search-close", HTMLButtonElement).onclick = () => {
    close();
    opener.focus();
  };
  opener.onclick = () => {
    form.hidden = false;
    input.focus();
  };
  close();
  return { close };
}
