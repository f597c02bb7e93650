import type { SmpClient } from "../../client/mod.ts";
import { type KeyPair, passwordExtension, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import type { AgentContext } from "./context.ts";

/**
 * Makes a queue. A server that has begun to want a password tells new connections alone: the one that it has refused is
 * closed, so that the next try is on a new one, but not again and again. A password that was refused is not shown again for a time. Throws what
 * `SmpClient.createQueue` throws.
 */
export async function newQueue(
  { making, password, refusedPasswords }: Pick<AgentContext, "making" | "password" | "refusedPasswords">,
  { server, client, keyPair }: {
    readonly server: ServerAddress;
    readonly client: SmpClient;
    readonly keyPair: KeyPair<"sign">;
  },
): Promise<{ readonly recipientId: string; readonly senderId: string }> {
  const known = password(server);
  const mayPass = client.extensions.includes(passwordExtension);
  if (mayPass && known !== undefined) refusedPasswords.check(server, known);
  try {
    return await making.ask(() => client.createQueue({ keyPair }));
  } catch (error) {
    if (error instanceof SmpError && error.code === "AUTH" && known !== undefined) {
      if (mayPass && client.isPasswordRefused) refusedPasswords.add(server, known, error);
      if (!mayPass && refusedPasswords.takeReconnect(server)) await client.close();
    }
    throw error;
  }
}
