import { bindDialog } from "./dialogs.ts";
import { element, inside } from "./dom.ts";

/** What notifications say: there are none, that there is a message, or in which conversation. */
type Content = "off" | "nothing" | "name";

/** Who is notified of. */
interface Notified {
  /** ID of the conversation. */
  readonly id: string;
  readonly name: string;
}

/** As much of the Badging API as is used; not every browser has it. */
interface Badge {
  setAppBadge?(count: number): Promise<void>;
}

const appName = document.title;
const key = "smp-web-chat notifications";
/** Milliseconds that the browser may take to show one, or to clear them, before the next thing begins. */
const patience = 10_000;
const refused =
  "The browser does not allow this page to notify you: its settings for the page can be changed.";

/** Tells of messages that come while nobody sees the page; what is in them is never told. */
export class Notifications {
  readonly #shell: Promise<ServiceWorkerRegistration | null>;
  readonly #open: (id: string) => void;
  /** Chromium forgets a notification when it is asked which are shown before this one is: nothing closes it then. */
  #turn: Promise<void> = Promise.resolve();
  /** Conversations that wait for their turn. */
  readonly #waiting = new Set<string>();

  /** `open` is told the ID of a conversation whose notification was chosen, until the signal aborts. */
  constructor(
    shell: Promise<ServiceWorkerRegistration | null>,
    open: (id: string) => void,
    signal: AbortSignal,
  ) {
    this.#shell = shell;
    this.#open = open;
    const { serviceWorker } = navigator as { readonly serviceWorker?: ServiceWorkerContainer };
    serviceWorker?.addEventListener("message", ({ data, ports }) => {
      if (data?.type !== "open") return;
      open(data.conversation);
      // Of several tabs this one has the chat.
      ports[0]?.postMessage("opened");
    }, { signal });
    document.addEventListener("visibilitychange", () => void this.#inTurn(() => this.#clear()), { signal });
  }

  /** Tells of a conversation, when the page is not seen and the person wants it. */
  async tell(notified: Notified): Promise<void> {
    const { id } = notified;
    if (this.#waiting.has(id)) return;
    this.#waiting.add(id);
    await this.#inTurn(() => {
      this.#waiting.delete(id);
      return this.#show(notified);
    });
  }

  /** Shows on the icon of the installed page how many messages are new. */
  static count(unread: number): void {
    (navigator as Badge).setAppBadge?.(unread).catch(() => {});
  }

  /** Does one thing at a time; what fails, or takes long, holds nothing up. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = async () => {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, patience);
      await Promise.race([work(), late]).finally(() => clearTimeout(timer));
    };
    return this.#turn = this.#turn.then(turn).catch(() => {});
  }

  async #show({ id, name }: Notified): Promise<void> {
    const shell = await this.#shell;
    const content = wanted();
    if (content === "off" || document.visibilityState === "visible") return;
    // The worker has it in the version of this page, and waits for no network.
    const icon = inside(document.head, "link[rel=apple-touch-icon]", HTMLLinkElement).href;
    const options = { body: "New message", tag: id, icon };
    const title = content === "name" ? name : appName;
    try {
      if (shell !== null) return await shell.showNotification(title, options);
    } catch {
      // Its worker is not active yet.
    }
    // Throws where browsers have them of service workers alone.
    const notification = new Notification(title, options);
    notification.onclick = () => {
      notification.close();
      focus();
      this.#open(id);
    };
  }

  async #clear(): Promise<void> {
    if (document.visibilityState !== "visible") return;
    for (const shown of await (await this.#shell)?.getNotifications() ?? []) shown.close();
  }
}

/** Lets a button choose whether there are notifications; the browser asks for its permission then, and never by itself. */
export function bindNotifications(button: HTMLElement): void {
  const content = element("notification-content", HTMLSelectElement);
  const submit = async () => {
    const chosen = content.value as Content;
    if (chosen !== "off" && await allowed() !== "granted") return refused;
    localStorage.setItem(key, chosen);
    return null;
  };
  bindDialog("notifications-dialog", button, { submit, done: () => {} });
  button.addEventListener("click", () => content.value = wanted());
}

/** Forgets what was chosen. */
export function forgetNotifications(): void {
  localStorage.removeItem(key);
}

function wanted(): Content {
  const stored = localStorage.getItem(key);
  return "Notification" in globalThis && Notification.permission === "granted" &&
      (stored === "nothing" || stored === "name")
    ? stored
    : "off";
}

async function allowed(): Promise<NotificationPermission> {
  return "Notification" in globalThis ? await Notification.requestPermission() : "denied";
}
