import { linkOf } from "./invitation.ts";

/** What tabs of this page say to each other. */
type TabMessage =
  /** A tab was opened, by the link of an invitation or not. */
  | { readonly type: "opened"; readonly id: string; readonly invitation: string | null }
  /** The tab that has the chat answers. */
  | { readonly type: "here"; readonly id: string };

/** The other tabs of this page: one of all has the chat, as two agents would take each other's messages. */
export class Tabs {
  /** Whether this tab has it: then it opens what other tabs were opened for. */
  hasChat = false;
  readonly #channel = new BroadcastChannel("smp-web-chat");
  readonly #waiting = new Map<string, () => void>();

  constructor() {
    this.#channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      if (data.type === "here") return this.#waiting.get(data.id)?.();
      if (!this.hasChat) return;
      this.#send({ type: "here", id: data.id });
      if (data.invitation !== null) location.hash = new URL(linkOf(location.href, data.invitation)).hash;
    };
  }

  /** Resolves when another tab has the chat, which opens the invitation; never when there is none. */
  other(invitation: string | null): Promise<void> {
    const id = crypto.randomUUID();
    return new Promise((resolve) => {
      this.#waiting.set(id, () => {
        this.#waiting.delete(id);
        resolve();
      });
      this.#send({ type: "opened", id, invitation });
    });
  }

  #send(message: TabMessage): void {
    this.#channel.postMessage(message);
  }
}
