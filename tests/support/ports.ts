/**
 * A port on which nobody listens, for servers that are started again on the one that they had: not of the range from
 * which the system gives ports away, which it would do while the server is down.
 */
export function steadyPort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
