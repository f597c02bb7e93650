import { assertEquals } from "@std/assert";
import { acceptLoop } from "../../../server/net/tcp_listener.ts";
import { soon } from "../../support/wait.ts";

/** A listener that fails with each of `errors`, and gives `connections` after that, then nothing. */
function fakeListener(errors: readonly Error[], connections: readonly Deno.TcpConn[] = []) {
  const [failing, giving] = [[...errors], [...connections]];
  const exhausted = Promise.withResolvers<void>();
  return {
    exhausted: exhausted.promise,
    accept(): Promise<Deno.TcpConn> {
      const error = failing.shift();
      if (error !== undefined) return Promise.reject(error);
      const connection = giving.shift();
      if (connection !== undefined) return Promise.resolve(connection);
      exhausted.resolve();
      return new Promise(() => {});
    },
  };
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

async function logOf(errors: readonly Error[]): Promise<unknown[]> {
  const logged: unknown[] = [];
  const listener = fakeListener(errors);
  const stop = new AbortController();
  void acceptLoop(listener, { accept: () => {}, log: (_, error) => logged.push(error) }, stop.signal);
  await soon(listener.exhausted);
  stop.abort();
  return logged;
}

for (
  const code of ["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EPROTO", "EHOSTUNREACH", "ENETDOWN", "EPERM"]
) {
  Deno.test(`a thousand ${code} of accept do not stop accepting`, async () => {
    // A pause after each would take a hundred seconds.
    assertEquals(await logOf(new Array(1000).fill(systemError(code))), []);
  });
}

for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
  Deno.test(`${code} of accept is told, and accepting goes on`, async () => {
    const error = systemError(code);
    assertEquals(await logOf([error]), [error]);
  });
}

Deno.test("accept is told of an error that nobody knows, and goes on", async () => {
  const error = new Error("something else");
  assertEquals(await logOf([error]), [error]);
});

for (
  const [name, failing] of [["keep-alive", "setKeepAlive"], ["Nagle's algorithm", "setNoDelay"]] as const
) {
  Deno.test(`a connection whose ${name} cannot be set is closed, and the next one accepted`, async () => {
    const closed: string[] = [];
    const connection = (name: string, fails: boolean) =>
      ({
        remoteAddr: { hostname: "127.0.0.1" },
        setKeepAlive() {},
        setNoDelay() {},
        close: () => closed.push(name),
        ...(fails && {
          [failing]() {
            throw systemError("EINVAL");
          },
        }),
      }) as unknown as Deno.TcpConn;
    const accepted: string[] = [];
    const listener = fakeListener([], [connection("first", true), connection("second", false)]);
    const stop = new AbortController();
    void acceptLoop(
      listener,
      { accept: (_, address) => accepted.push(address!), log: () => {} },
      stop.signal,
    );
    await soon(listener.exhausted);
    stop.abort();
    assertEquals([closed, accepted], [["first"], ["127.0.0.1"]]);
  });
}
