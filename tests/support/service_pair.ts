import { assertEquals } from "@std/assert";
import type { AgentOptions, AgentStore } from "../../agent/mod.ts";
import type { AgentService } from "../../agent/service/service.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connectClients, startService } from "./agent_service.ts";
import { readyPair } from "./ready_pair.ts";
import { sessions } from "./streams.ts";
import { Telnet } from "./telnet.ts";

/** Two clients of two services, and what is between them. */
export interface ServicePair extends AsyncDisposable {
  readonly one: AgentService;
  readonly two: AgentService;
  /** Of `one`; calls the other "bob". */
  readonly a: Telnet;
  /** Of `two`; calls the other "alice". */
  readonly b: Telnet;
}

/** Two clients of two services that are connected with a session, on a server that has no others. */
export async function servicePair(
  server: SmpServer,
  { one = {}, two = {} }: {
    readonly one?: Partial<AgentOptions>;
    readonly two?: Partial<AgentOptions>;
  } = {},
): Promise<ServicePair> {
  await using made = new AsyncDisposableStack();
  const names = ["bob", "alice"] as const;
  const stores = await readyPair(server, { alice: one.store, bob: two.store, names });
  const start = async (options: Partial<AgentOptions>, store?: AgentStore) => {
    const service = made.use(
      await startService(server, {}, { ...sessions, ...options, ...store && { store } }),
    );
    return { service, client: made.use(await Telnet.connect(service.port)) };
  };
  const first = await start(one, stores?.alice), second = await start(two, stores?.bob);
  const a = first.client, b = second.client;
  if (stores === null) {
    await connectClients(a, b);
    await Promise.all([untilSession(a, "bob"), untilSession(b, "alice")]);
  } else {
    for (const [client, name] of [[a, "bob"], [b, "alice"]] as const) {
      assertEquals(await client.ask("1", name, "SUB"), ["1", name, "OK"]);
    }
  }
  const all = made.move();
  return {
    one: first.service,
    two: second.service,
    a,
    b,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Asks until a connection's session is active: nothing tells of it in text. */
export async function untilSession(client: Telnet, alias: string): Promise<void> {
  for (let isActive = false; !isActive;) {
    await client.send("l", "", "LIST");
    for (let said; !(said = (await client.said())!)[2].startsWith("DONE");) {
      isActive ||= said[1] === alias && /\bsession\b/.test(said[2]);
    }
  }
}
