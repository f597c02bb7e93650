import { sizeText } from "../../files.ts";
import { make } from "./dom.ts";
import { pictureType } from "./picture.ts";
import { statusText } from "./transfer_text.ts";
import type { FileState } from "./transfers.ts";

/** What a person can do with a file. */
export interface FileActions {
  accept(key: string): void;
  acceptAs(key: string, place: FileSystemFileHandle): void;
  /** Refuses or cancels. */
  cancel(key: string): void;
  pause(key: string): void;
  resume(key: string): void;
  remove(key: string): void;
}

/** A file in the log. */
export interface FileView {
  readonly item: HTMLElement;
  /** Shows what has changed. */
  show(file: FileState): void;
  /** It is not shown any more. */
  close(): void;
}

/** What not all browsers have. */
interface FilePlaces {
  showSaveFilePicker?(options: { readonly suggestedName: string }): Promise<FileSystemFileHandle>;
}

type Choice = readonly [label: string, choose: () => void];

/** Makes the item of a file; what makes it higher later is done by `grow`. */
export function fileView(first: FileState, { head, actions, grow }: {
  readonly head: readonly (Node | string)[];
  readonly actions: FileActions;
  readonly grow: (change: () => void) => void;
}): FileView {
  const { key, name, direction, size } = first;
  const bubble = make("div", { class: "file" }, ...head);
  const bar = make("progress", { "aria-label": `Progress of ${name}` });
  const status = make("p", { class: "status" });
  const choices = make("div", { class: "choices" });
  bubble.append(
    make(
      "p",
      { class: "text" },
      make("bdi", {}, name),
      make("span", { class: "size" }, ` · ${sizeText(size)}`),
    ),
    bar,
    status,
    make("div", { class: "actions" }, choices),
  );
  const item = make("li", { class: direction === "sending" ? "mine" : "theirs", "data-file": key }, bubble);
  const urls: string[] = [];
  let labels = "", isClosed = false, hasContent = false;

  const showContent = async (content: Blob) => {
    const type = await pictureType(content);
    if (isClosed) return;
    if (direction === "receiving") {
      // A type that browsers show nothing of: it is to be saved, and never opened as a part of this page.
      const url = URL.createObjectURL(content.slice(0, content.size, "application/octet-stream"));
      urls.push(url);
      grow(() => choices.before(make("a", { class: "save", href: url, download: name }, "Save")));
    }
    if (type === null) return;
    const url = URL.createObjectURL(content.slice(0, content.size, type));
    urls.push(url);
    const picture = make("img", { src: url, alt: name });
    try {
      await picture.decode();
    } catch {
      // It only begins like one.
      return;
    }
    if (isClosed) return;
    grow(() => bubble.prepend(picture));
  };

  const show = (file: FileState) => {
    bar.hidden = file.status !== "going";
    if (file.size === null) bar.removeAttribute("value");
    else {
      bar.max = Math.max(1, file.size);
      bar.value = file.size === 0 ? 1 : file.bytes;
    }
    status.textContent = statusText(file);
    status.classList.toggle("failed", file.status === "ended");
    const offered = choicesFor(file, actions);
    const next = offered.map(([label]) => label).join();
    if (next !== labels) {
      labels = next;
      const isFocused = choices.contains(document.activeElement);
      const buttons = offered.map(([label, choose]) => {
        const button = make("button", { type: "button", "aria-label": `${label}: ${name}` }, label);
        button.onclick = choose;
        return button;
      });
      choices.replaceChildren(...buttons);
      if (isFocused) buttons[0]?.focus();
    }
    if (file.content !== null && !hasContent && file.status !== "ended") {
      hasContent = true;
      void showContent(file.content);
    }
  };
  show(first);
  return {
    item,
    show,
    close() {
      isClosed = true;
      for (const url of urls) URL.revokeObjectURL(url);
    },
  };
}

function choicesFor({ key, name, status, direction, isPaused }: FileState, actions: FileActions): Choice[] {
  const cancel: Choice = ["Cancel", () => actions.cancel(key)];
  switch (status) {
    case "offered":
      if (direction === "sending") return [cancel];
      return [
        ["Accept", () => actions.accept(key)],
        ...placeChoice(name, (place) => actions.acceptAs(key, place)),
        ["Refuse", () => actions.cancel(key)],
      ];
    case "going":
      return [isPaused ? ["Resume", () => actions.resume(key)] : ["Pause", () => actions.pause(key)], cancel];
    case "done":
    case "ended":
      return [["Remove", () => actions.remove(key)]];
    default:
      return status satisfies never;
  }
}

function placeChoice(suggestedName: string, choose: (place: FileSystemFileHandle) => void): Choice[] {
  const places = globalThis as FilePlaces;
  if (places.showSaveFilePicker === undefined) return [];
  // When the person thinks better of it, nothing is chosen.
  return [["Save as…", () => void places.showSaveFilePicker?.({ suggestedName }).then(choose, () => {})]];
}
