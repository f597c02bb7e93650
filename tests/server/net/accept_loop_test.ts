import { assertEquals, assertThrows } from "@std/assert";
import { tcpChannel } from "../../../protocol/mod.ts";
import { acceptLoop } from "../../../server/net/accept_loop.ts";
import { ConnectionStream } from "../../../server/net/connection_stream.ts";
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
  void acceptLoop(listener, { take: () => {}, failed: (error) => logged.push(error) }, stop.signal);
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

Deno.test("a connection that was accepted while accepting ended is closed, not taken", async () => {
  const events: string[] = [];
  const accepted = Promise.withResolvers<Deno.TcpConn>();
  const stop = new AbortController();
  const accepting = acceptLoop(
    { accept: () => accepted.promise },
    { take: () => void events.push("taken"), failed: () => {} },
    stop.signal,
  );
  accepted.resolve({ close: () => events.push("closed") } as unknown as Deno.TcpConn);
  stop.abort();
  await soon(accepting);
  assertEquals(events, ["closed"]);
});

Deno.test("a connection that cannot be taken is closed, and the next one accepted", async () => {
  const closed: string[] = [];
  const taken: string[] = [];
  const fail = () => {
    throw systemError("EINVAL");
  };
  const connection = (name: string) =>
    ({
      name,
      close() {
        closed.push(name);
        // As where what it was made into has closed it.
        fail();
      },
    }) as unknown as Deno.TcpConn;
  const listener = fakeListener([], [connection("first"), connection("second")]);
  const take = (connection: Deno.TcpConn) => {
    const { name } = connection as unknown as { readonly name: string };
    if (name === "first") fail();
    taken.push(name);
  };
  const stop = new AbortController();
  void acceptLoop(listener, { take, failed: () => {} }, stop.signal);
  await soon(listener.exhausted);
  stop.abort();
  assertEquals([closed, taken], [["first"], ["second"]]);
});

Deno.test("what a connection is made into throws when it was reset, so that it is closed", () => {
  const connection = {
    remoteAddr: { hostname: "127.0.0.1" },
    setNoDelay() {
      throw systemError("EINVAL");
    },
    close: () => {},
  } as unknown as Deno.TcpConn;
  assertThrows(() => tcpChannel(connection), Error, "EINVAL");
  assertThrows(() => new ConnectionStream(connection), Error, "EINVAL");
});

Deno.test("what a listener throws at the data ends that stream and nothing else", async () => {
  const events: string[] = [];
  const connection = {
    remoteAddr: { hostname: "127.0.0.1" },
    setNoDelay: () => {},
    read: () => Promise.resolve(1),
    close: () => events.push("closed"),
  } as unknown as Deno.TcpConn;
  const stream = new ConnectionStream(connection);
  const error = new Promise<Error>((resolve) => void stream.once("error", resolve));
  stream.on("data", () => {
    throw new Error("a parser's");
  });
  assertEquals((await soon(error)).message, "a parser's");
  assertEquals(events, ["closed"]);
});
