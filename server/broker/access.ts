import { decodeBase64, equalBytes, type PublicKey } from "../../protocol/mod.ts";
import type { Authorizer } from "../guard/authorization.ts";
import { exponentClass } from "../guard/verifier.ts";
import type { QueueRecord } from "../store/store.ts";
import type { SmpErrorCode, Submitted } from "./command_runner.ts";
import type { OpenedQueues } from "./opened_queues.ts";

/** Who may do what with a queue: whoever has signed the command, or has opened the queue (smp.md Authorization, extensions.md open1). */
export class Access {
  readonly #authorizer: Authorizer;
  readonly #opened: OpenedQueues;

  constructor(authorizer: Authorizer, opened: OpenedQueues) {
    this.#authorizer = authorizer;
    this.#opened = opened;
  }

  /** Why a recipient's command is refused. Without a signature: whether the connection has opened the queue, which was looked up since. */
  async recipientError({ recipientKey }: QueueRecord, submitted: Submitted): Promise<SmpErrorCode | null> {
    const { connection, transmission } = submitted;
    if (transmission.signature.length === 0) {
      return this.#opened.opens(connection, transmission.queueId, recipientKey) ? null : "CMD NO_AUTH";
    }
    return await this.#isSigned(recipientKey, recipientKey, submitted) ? null : "AUTH";
  }

  /** Unsecured queues take only unsigned messages, secured ones only their sender's. */
  async maySend({ recipientKey, senderKey, suspended }: QueueRecord, submitted: Submitted): Promise<boolean> {
    const { connection, transmission } = submitted;
    if (transmission.signature.length === 0 && !suspended) {
      if (senderKey === null || this.#opened.opens(connection, transmission.queueId, senderKey)) return true;
    }
    return await this.#isSigned(senderKey, recipientKey, submitted) && !suspended;
  }

  /** The key whose rights OPEN gives; `null`: it is refused, after the same time whatever is wrong. */
  async openingKey(
    { recipientKey, senderKey }: QueueRecord,
    submitted: Submitted,
    { binding, isSender }: { readonly binding: string; readonly isSender: boolean },
  ): Promise<PublicKey | null> {
    const key = isSender ? senderKey : recipientKey;
    const isSigned = await this.#isSigned(key, recipientKey, submitted);
    const given = decodeBase64(binding);
    const isBound = given !== null && equalBytes(given, submitted.connection.binding);
    return isSigned && isBound ? key : null;
  }

  /** `other`: the queue's key that says what a refusal costs when there is none. */
  #isSigned(
    key: PublicKey | null,
    other: PublicKey,
    { connection, transmission }: Submitted,
  ): Promise<boolean> {
    const costs = exponentClass(key ?? other);
    return this.#authorizer.verify(key, transmission, { costs, source: connection });
  }
}
