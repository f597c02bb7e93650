import { type Conversation, phaseText } from "./conversation.ts";
import { element } from "./dom.ts";
import { qrCode } from "./qr.ts";

/** What a person can do in the open conversation. */
export interface ChatActions {
  /** Gives what is wrong with the text, `null` when it was taken. */
  send(text: string): Promise<string | null>;
  /** Shows what came before. */
  earlier(): Promise<void>;
  delete(): Promise<void>;
  /** Shows what is known of the connection. */
  information(): void;
  back(): void;
}

/** The open conversation without its messages. */
export interface ChatView {
  /** Shows the head, the notice and what can be done; `link` is the invitation that waits to be used. */
  show(conversation: Conversation | null, link: string | null): void;
  /** Puts the keyboard where it is needed. */
  focus(): void;
  /** Whether there are earlier messages than those shown. */
  setEarlier(isThere: boolean): void;
  /** Says that something could not be done. */
  problem(text: string): void;
  /** Says that something could not be sent. */
  failed(text: string): void;
  /** Says what is done before something is sent; `null`: nothing. */
  preparing(text: string | null): void;
}

/** Binds the elements of the open conversation. */
export function bindChat(actions: ChatActions): ChatView {
  const header = element("chat-header", HTMLElement);
  const name = element("chat-name", HTMLElement);
  const notice = element("notice", HTMLElement);
  const invitation = element("invitation", HTMLElement);
  const linkField = element("link", HTMLInputElement);
  const copied = element("copied", HTMLElement);
  const earlier = element("earlier", HTMLButtonElement);
  const composer = element("composer", HTMLFormElement);
  const text = element("text", HTMLTextAreaElement);
  const problem = element("send-error", HTMLElement);
  /** What was written and not sent, by the conversation's ID. */
  const drafts = new Map<string, string>();
  let shown: string | null = null;
  text.value = "";
  name.textContent = "";

  composer.onsubmit = async (event) => {
    event.preventDefault();
    const written = text.value;
    if (written.trim() === "") return;
    // At once: what is typed while it is stored belongs to the next message.
    text.value = "";
    problem.textContent = "";
    const to = shown;
    const wrong = await actions.send(written);
    if (wrong === null) return;
    // Another conversation may be open by now, and must not get it.
    if (shown !== to) return void drafts.set(to!, written + (drafts.get(to!) ?? ""));
    text.value = written + text.value;
    problem.textContent = wrong;
  };
  // What was wrong is being changed.
  text.oninput = () => problem.textContent = "";
  text.onkeydown = (event) => {
    // An input method uses Enter for itself.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  };
  earlier.onclick = () => void actions.earlier();
  element("information", HTMLButtonElement).onclick = () => actions.information();
  element("delete", HTMLButtonElement).onclick = () => void actions.delete();
  element("back", HTMLButtonElement).onclick = () => actions.back();
  linkField.onfocus = () => linkField.select();
  element("copy", HTMLButtonElement).onclick = async () => {
    try {
      await navigator.clipboard.writeText(linkField.value);
      copied.textContent = "Copied.";
    } catch {
      linkField.focus();
      copied.textContent = "The browser does not allow it: the link is selected, copy it with the keyboard.";
    }
  };

  return {
    show(conversation, link) {
      header.hidden = conversation === null;
      element("nothing", HTMLElement).hidden = conversation !== null;
      element("messages", HTMLElement).hidden = conversation === null || link !== null;
      composer.hidden = !(conversation?.canSend ?? false);
      notice.hidden = (conversation?.notice ?? null) === null;
      notice.textContent = conversation?.notice ?? "";
      invitation.hidden = link === null;
      if (link !== null && linkField.value !== link) {
        linkField.value = link;
        copied.textContent = "";
        element("qr", HTMLElement).replaceChildren(qrCode(link, "The link as a QR code"));
      }
      if (conversation === null) return;
      if (shown !== conversation.id) {
        if (shown !== null) drafts.set(shown, text.value);
        shown = conversation.id;
        name.textContent = conversation.name;
        text.value = drafts.get(shown) ?? "";
        problem.textContent = "";
      }
      element("chat-state", HTMLElement).textContent = phaseText(conversation);
    },
    focus() {
      // On a phone the keyboard would cover what there is to read.
      const target = !composer.hidden && matchMedia("(pointer: fine)").matches ? text : name;
      target.focus();
    },
    setEarlier(isThere) {
      earlier.hidden = !isThere;
    },
    failed(message) {
      problem.textContent = message;
    },
    preparing(message) {
      if (message !== null) problem.textContent = "";
      element("preparing", HTMLElement).textContent = message ?? "";
    },
    problem(message) {
      notice.hidden = false;
      notice.textContent = message;
    },
  };
}
