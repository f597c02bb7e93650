/** Where slots of ports begin, and how many there are: none is of the range from which the system gives ports away. */
const begin = 10_000, slots = 200, slotSize = 100;

/** Listens at the first port of a slot as long as this process runs: so others see that it is taken. */
const guard = takeSlot();
/** How many ports were given. */
let given = 0;

/**
 * A port on which nobody listens, for servers that are started again on the one that they had: no other test gets it
 * while the server is down.
 */
export function steadyPort(): number {
  for (;;) {
    const port = guard.addr.port + 1 + given++ % (slotSize - 1);
    const listener = listenAt(port);
    if (listener === null) continue;
    listener.close();
    return port;
  }
}

function takeSlot(): Deno.TcpListener {
  for (;;) {
    const listener = listenAt(begin + slotSize * Math.floor(Math.random() * slots));
    if (listener === null) continue;
    listener.unref();
    return listener;
  }
}

function listenAt(port: number): Deno.TcpListener | null {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return null;
    throw error;
  }
}
