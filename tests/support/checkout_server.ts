const types: Readonly<Record<string, string>> = {
  ts: "application/typescript",
  json: "application/json",
};

/** The checkout over loopback HTTP, as a site would serve it. */
export function serveCheckout(): AsyncDisposable & { readonly url: string } {
  const root = new URL("../../", import.meta.url);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const type = types[pathname.split(".").at(-1)!];
      try {
        if (type === undefined) return new Response("not found", { status: 404 });
        const text = await Deno.readTextFile(new URL(`.${pathname}`, root));
        return new Response(text, { headers: { "content-type": type } });
      } catch {
        return new Response("not found", { status: 404 });
      }
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
