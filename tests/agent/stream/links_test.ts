import { assertRejects } from "@std/assert";
import { StreamLinks } from "../../../agent/stream/links.ts";
import { TransportError } from "../../../mod.ts";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import { soon } from "../../support/wait.ts";

/** Two that wait for the same server, which has accepted and does not answer. */
async function withWaiting(
  body: (connection: Deno.TcpConn, controllers: AbortController[], uses: Promise<unknown>[]) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using links = new StreamLinks({});
  const keyHash = encodeBase64(randomBytes(32));
  const address = { host: "127.0.0.1", port: listener.addr.port, keyHash };
  const controllers = [new AbortController(), new AbortController()];
  const uses = controllers.map(({ signal }) => links.use(address, signal));
  for (const use of uses) use.catch(() => {});
  using connection = await soon(listener.accept());
  await body(connection, controllers, uses);
}

for (const isWaited of [false, true]) {
  const name = isWaited
    ? "a server that one waits for is not left when another does not any more"
    : "a server that does not answer is left when nobody waits for it any more";
  Deno.test(
    name,
    { permissions: { net: ["127.0.0.1"] } },
    () =>
      withWaiting(async (connection, [one, other], uses) => {
        one!.abort();
        if (!isWaited) {
          other!.abort();
          await soon(connection.read(new Uint8Array(1)));
        } else await soon(connection.write(new Uint8Array(4096)));
        for (const use of uses) {
          await assertRejects<Error>(() => soon(use), isWaited ? TransportError : DOMException);
        }
      }),
  );
}
