import { type Command, type Step, stepTo } from "../core/types.ts";
import { withReceiving } from "../core/connection.ts";
import type { Connection, ReceivingRoute, StoreChange, StoredEvent } from "../store/store.ts";

/** What is done with a message beside being handled. */
export interface Settlement {
  /** The connection as the message leaves it. @default as it was */
  readonly connection?: Connection;
  /** What it changes of its route. */
  readonly route?: Partial<ReceivingRoute>;
  /** SHA-256 of its plaintext, by which repetitions are known. @default the one before */
  readonly hash?: Uint8Array<ArrayBuffer>;
  readonly changes?: readonly StoreChange[];
  readonly commands?: readonly Command[];
  readonly events?: readonly StoredEvent[];
}

/** A message is handled: its server can forget it. */
export function settle(
  { connection, route }: { readonly connection: Connection; readonly route: ReceivingRoute },
  serverId: string,
  { route: change, hash, commands = [], ...rest }: Settlement = {},
): Step {
  const handled = { ...route, ...change, lastServerId: serverId, lastHash: hash ?? route.lastHash };
  return stepTo(withReceiving(rest.connection ?? connection, handled), {
    ...rest,
    commands: [...commands, { type: "acknowledge", route: route.id, serverId }],
  });
}
