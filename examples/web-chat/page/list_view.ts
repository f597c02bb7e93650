import { type Conversation, phaseText } from "./conversation.ts";
import { element, make } from "./dom.ts";

/** Shows all conversations, the last one first; `choose` is called with the name of one. */
export function showList(
  conversations: Iterable<Conversation>,
  open: string | null,
  choose: (name: string) => void,
): void {
  const list = element("list", HTMLElement);
  const focused = document.activeElement;
  const focusedName = focused instanceof HTMLElement && list.contains(focused)
    ? focused.dataset.name
    : undefined;
  const items = [...conversations].toReversed().map((conversation) => {
    const { name, unread } = conversation;
    const button = make("button", { type: "button", "data-name": name });
    button.append(make("span", { class: "name", dir: "auto" }, name));
    button.append(make("span", { class: "state" }, phaseText(conversation)));
    if (unread > 0) {
      const count = make("span", { class: "unread" }, String(unread));
      count.append(make("span", { class: "unseen" }, unread === 1 ? " new message" : " new messages"));
      button.append(count);
    }
    if (name === open) button.setAttribute("aria-current", "true");
    button.onclick = () => choose(name);
    return make("li", {}, button);
  });
  list.replaceChildren(...items);
  element("empty", HTMLElement).hidden = items.length > 0;
  if (focusedName === undefined) return;
  list.querySelectorAll("button").forEach((button) => {
    if (button.dataset.name === focusedName) button.focus();
  });
}
