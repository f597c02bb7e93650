import { element } from "./dom.ts";

const sections = ["opening", "start", "elsewhere", "app"] as const;

/** Shows one part of the page in place of the others. */
export function showSection(shown: typeof sections[number]): void {
  for (const section of sections) element(section, HTMLElement).hidden = section !== shown;
}

/** Says where the chat is; resolves when the person wants it here. */
export function useItHere(text: string): Promise<void> {
  element("elsewhere-text", HTMLElement).textContent = text;
  const button = element("take", HTMLButtonElement);
  button.disabled = false;
  showSection("elsewhere");
  return new Promise((resolve) => {
    button.onclick = () => {
      button.disabled = true;
      resolve();
    };
  });
}
