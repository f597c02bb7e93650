import { fileNameOf } from "../../files.ts";
import type { ChatView } from "./chat_view.ts";
import { describe } from "./problem_text.ts";
import type { Transfers } from "./transfers.ts";

/** Files that a person sends: offered one after the other, in the order in which they were chosen. */
export class Outbox {
  readonly #transfers: Transfers;
  readonly #chat: Pick<ChatView, "preparing" | "failed">;
  #sending: Promise<void> = Promise.resolve();

  constructor(transfers: Transfers, chat: Pick<ChatView, "preparing" | "failed">) {
    this.#transfers = transfers;
    this.#chat = chat;
  }

  /** Offers files to somebody, behind those before; what goes wrong is said. */
  async send(name: string | undefined, chosen: readonly File[]): Promise<void> {
    if (name === undefined) return;
    this.#sending = this.#sending.then(async () => {
      for (const file of chosen) await this.#offer(name, file);
    });
    await this.#sending;
  }

  async #offer(name: string, file: File): Promise<void> {
    const shown = fileNameOf(file.name);
    this.#chat.preparing(`Reading ${shown}…`);
    try {
      await this.#transfers.send(name, file);
      this.#chat.preparing(null);
    } catch (error) {
      this.#chat.preparing(null);
      this.#chat.failed(`${shown} was not sent: ${describe(error)}`);
    }
  }
}
