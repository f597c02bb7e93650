import type { SmpClient } from "../../client/mod.ts";
import { type KeyPair, passwordExtension, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import type { AgentContext } from "./context.ts";

/**
 * Makes a queue. A server that has begun to want a password tells new connections alone: the one that it has refused is
 * closed, so that the next try is on a new one. Throws what `SmpClient.createQueue` throws.
 */
export async function newQueue(
  { making, password }: Pick<AgentContext, "making" | "password">,
  { server, client, keyPair }: {
    readonly server: ServerAddress;
    readonly client: SmpClient;
    readonly keyPair: KeyPair<"sign">;
  },
): Promise<{ readonly recipientId: string; readonly senderId: string }> {
  try {
    return await making.ask(() => client.createQueue({ keyPair }));
  } catch (error) {
    const isRefused = error instanceof SmpError && error.code === "AUTH";
    const mayPass = client.extensions.includes(passwordExtension);
    if (isRefused && !mayPass && password(server) !== undefined) await client.close();
    throw error;
  }
}
