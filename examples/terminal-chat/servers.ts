import { SmpClient } from "@simplexmq/smp/client";
import { defaultPort, formatAddress, parseServer } from "@simplexmq/smp/protocol";
import type { ChatOptions } from "./options.ts";
import type { Show } from "./chat.ts";

/** Tries every server once, and tells of those that cannot be used now. Never rejects; `signal` ends it. */
export async function tellUnreachable(
  { servers, allowUnverified }: ChatOptions,
  show: Show,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(servers.map(async (text) => {
    const { server } = parseServer(text);
    try {
      const client = await SmpClient.connect(server, { allowUnverified, signal });
      await client.close();
    } catch (error) {
      if (signal.aborted) return;
      const { host, port = defaultPort } = server;
      show(
        `${formatAddress({ host, port })} cannot be used now: ${
          error instanceof Error ? error.message : error
        }`,
        "warning",
      );
    }
  }));
}
