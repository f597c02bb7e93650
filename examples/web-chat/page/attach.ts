import { element } from "./dom.ts";

/** Lets files be chosen, dropped and pasted; `isOpen`: whether there is somebody to send them to. */
export function bindFiles(
  { isOpen, send }: { isOpen(): boolean; send(files: readonly File[]): void },
  signal: AbortSignal,
): void {
  const chat = element("chat", HTMLElement);
  const input = element("files", HTMLInputElement);
  element("attach", HTMLButtonElement).onclick = () => input.click();
  input.onchange = () => {
    send([...input.files ?? []]);
    // The same file can be chosen again.
    input.value = "";
  };
  const over = (isOver: boolean) => chat.toggleAttribute("data-dropping", isOver);
  // Else the browser leaves the page and opens the file, wherever it is dropped.
  addEventListener("dragover", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    const isHere = isOpen() && event.target instanceof Node && chat.contains(event.target);
    event.dataTransfer!.dropEffect = isHere ? "copy" : "none";
    over(isHere);
  }, { signal });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false), { signal });
  addEventListener("drop", (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    over(false);
    const isHere = isOpen() && event.target instanceof Node && chat.contains(event.target);
    if (isHere) send([...event.dataTransfer!.files]);
  }, { signal });
  addEventListener("paste", (event) => {
    const isElsewhere = document.querySelector("dialog[open]") !== null;
    if (!hasFiles(event.clipboardData) || !isOpen() || isElsewhere) return;
    event.preventDefault();
    send([...event.clipboardData!.files]);
  }, { signal });
}

function hasFiles(data: DataTransfer | null): boolean {
  return data?.types.includes("Files") ?? false;
}
