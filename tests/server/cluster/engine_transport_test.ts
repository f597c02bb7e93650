import { assert, assertEquals } from "@std/assert";
import { EngineTransport } from "../../../server/cluster/engine_transport.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { soon } from "../../support/wait.ts";

/** A transport that is connected, its peer, and what holds back what it reads from now on. */
async function connected() {
  await using resources = new AsyncDisposableStack();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  let wasRead = () => {};
  let held: Promise<void> | null = null;
  const transport = new EngineTransport({ isEncrypted: false }, async (options) => {
    const socket = await Deno.connect(options);
    return new Proxy(socket, {
      get(target, name) {
        if (name === "read") {
          return async (buffer: Uint8Array) => {
            const length = await target.read(buffer);
            wasRead();
            await held;
            return length;
          };
        }
        const member: unknown = Reflect.get(target, name);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  });
  resources.defer(() => transport.disconnect());
  const connecting = transport.connect({ hostname: "127.0.0.1", port: listener.addr.port }, {});
  const peer = await soon(accepted);
  resources.defer(() => peer.close());
  await peer.write(textBytes("INFO {}\r\n"));
  await soon(connecting);
  const kept = resources.move();
  return {
    transport,
    peer,
    /** Resolves when something was read that is held back until it is let go. */
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return { read: new Promise<void>((resolve) => wasRead = resolve), letGo: resolve };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const permissions = { net: ["127.0.0.1"] };

Deno.test("what was read before a connection was left is not given after it", { permissions }, async () => {
  await using world = await connected();
  const { transport, peer } = world;
  const chunks = transport[Symbol.asyncIterator]();
  assertEquals((await chunks.next()).value, textBytes("INFO {}\r\n"));
  const { read, letGo } = world.hold();
  const late = chunks.next();
  await peer.write(textBytes("MSG a 1 5\r\n"));
  await soon(read);
  transport.disconnect();
  letGo();
  assertEquals(await soon(late), { done: true, value: undefined });
});

Deno.test("a connection that is not read any more is left", { permissions }, async () => {
  await using world = await connected();
  const { transport } = world;
  for await (const _chunk of transport) break;
  assert(transport.isClosed);
  assertEquals(await soon(transport.closed()), undefined);
});
