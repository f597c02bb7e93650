import { assertRejects } from "@std/assert";
import { StreamLinks } from "../../../agent/stream/links.ts";
import type { ServerAddress } from "../../../mod.ts";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import { soon } from "../../support/wait.ts";

const permissions = { net: ["127.0.0.1"] };

/** A server that accepts, and never answers. */
function listen(): { readonly listener: Deno.TcpListener; readonly address: ServerAddress } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return {
    listener,
    address: { host: "127.0.0.1", port: listener.addr.port, keyHash: encodeBase64(randomBytes(32)) },
  };
}

async function isAborted(use: Promise<unknown>): Promise<void> {
  await assertRejects(() => use, DOMException, "aborted");
}

Deno.test("a server that does not answer is left when nobody waits for it any more", {
  permissions,
}, async () => {
  const { listener, address } = listen();
  using _listener = listener;
  await using links = new StreamLinks({});
  const [one, other] = [new AbortController(), new AbortController()];
  const uses = [one, other].map(({ signal }) => isAborted(links.use(address, signal)));
  using connection = await soon(listener.accept());
  const ended = connection.read(new Uint8Array(1));
  one.abort();
  other.abort();
  await soon(ended);
  await soon(Promise.all(uses));
});

Deno.test("a server that one waits for is not left when another does not any more", {
  permissions,
}, async () => {
  const { listener, address } = listen();
  using _listener = listener;
  await using links = new StreamLinks({});
  const [one, other] = [new AbortController(), new AbortController()];
  const uses = [one, other].map(({ signal }) => isAborted(links.use(address, signal)));
  using connection = await soon(listener.accept());
  one.abort();
  let hasEnded = false;
  const ended = connection.read(new Uint8Array(1)).then(() => hasEnded = true);
  // Who comes later uses the same connection.
  const third = new AbortController();
  uses.push(isAborted(links.use(address, third.signal)));
  other.abort();
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (hasEnded) throw new Error("it was left");
  third.abort();
  await soon(ended);
  await soon(Promise.all(uses));
});
