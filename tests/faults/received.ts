import type { RecipientQueue } from "../../client/mod.ts";
import { asciiText } from "../../protocol/mod.ts";
import type { History } from "./history.ts";
import type { Session } from "./peer.ts";

/** What comes to a subscription, noted when it comes, however late it is looked at. */
export class Received {
  readonly #ids: string[] = [];
  #hasEnded = false;
  #wake: (() => void) | null = null;

  constructor(
    session: Session,
    of: { readonly name: string; readonly queue: RecipientQueue; readonly history: History },
  ) {
    void this.#read(session, of);
  }

  /** The next message's ID; `null`: the subscription or the connection has ended. */
  async next(): Promise<string | null> {
    while (this.#ids.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#ids.shift() ?? null;
  }

  async #read(
    { client, number: connection }: Session,
    { name, queue, history }: ConstructorParameters<typeof Received>[1],
  ): Promise<void> {
    try {
      for await (const event of client.events(queue)) {
        if (event.type === "END") {
          history.note({ type: "END", queue: name, connection });
          break;
        }
        const { messageId, body } = event;
        history.note({ type: "MSG", queue: name, connection, messageId, text: asciiText(body) });
        this.#ids.push(messageId);
        this.#wake?.();
      }
    } catch (error) {
      history.failed(error, name);
    }
    this.#hasEnded = true;
    this.#wake?.();
  }
}
