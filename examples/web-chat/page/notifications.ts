import { bindDialog } from "./dialogs.ts";
import { element } from "./dom.ts";

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
const icon = "/icon-192.png";
const refused =
  "The browser does not allow this page to notify you: its settings for the page can be changed.";

/** Tells of messages that come while nobody sees the page; what is in them is never told. */
export class Notifications {
  readonly #shell: Promise<ServiceWorkerRegistration | null>;
  readonly #open: (id: string) => void;

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
    document.addEventListener("visibilitychange", () => void this.#clear(), { signal });
  }

  /** Tells of a conversation, when the page is not seen and the person wants it. */
  async tell({ id, name }: Notified): Promise<void> {
    const content = wanted();
    if (content === "off" || document.visibilityState === "visible") return;
    const options = { body: "New message", tag: id, icon };
    const title = content === "name" ? name : appName;
    const shell = await this.#shell;
    try {
      if (shell !== null) return await shell.showNotification(title, options);
      const notification = new Notification(title, options);
      notification.onclick = () => {
        notification.close();
        focus();
        this.#open(id);
      };
    } catch {
      // It was forbidden meanwhile, or the browser has them of service workers alone, and there is none.
    }
  }

  /** Shows on the icon of the installed page how many messages are new. */
  static count(unread: number): void {
    (navigator as Badge).setAppBadge?.(unread).catch(() => {});
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
