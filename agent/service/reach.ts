import { SmpClient } from "../../client/mod.ts";
import { defaultPort, formatAddress, parseServer } from "../../protocol/mod.ts";

/** Tries every server once, and tells of those that cannot be reached now. Never rejects; `signal` ends it. */
export async function tellUnreachable(
  servers: readonly string[],
  { allowUnverified, signal, tell }: {
    readonly allowUnverified: boolean;
    readonly signal: AbortSignal;
    readonly tell: (line: string) => void;
  },
): Promise<void> {
  await Promise.all(servers.map(async (text) => {
    const { server } = parseServer(text);
    try {
      const client = await SmpClient.connect(server, { allowUnverified, signal });
      await client.close();
    } catch (error) {
      if (signal.aborted) return;
      const { host, port = defaultPort } = server;
      tell(
        `${formatAddress({ host, port })} cannot be used now: ${
          error instanceof Error ? error.message : error
        }`,
      );
    }
  }));
}
