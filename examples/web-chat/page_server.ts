import type { PageConfig } from "./smp_server.ts";

/** How the page is served. */
export interface PageServerOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** What the page is told. */
  readonly config: PageConfig;
  /** Path of the page's program, bundled. */
  readonly program: string;
}

/** A page that is served. */
export interface PageServer extends AsyncDisposable {
  readonly port: number;
}

/** Serves the page from memory. Throws when a file cannot be read or the port cannot be had. */
export async function servePage({ host, port, config, program }: PageServerOptions): Promise<PageServer> {
  const page = new URL("page/", import.meta.url);
  const headers = headersFor(config);
  const file = (type: string, body: string) => ({ body, headers: { ...headers, "content-type": type } });
  const text = "text/plain; charset=utf-8";
  const files = new Map([
    ["/", file("text/html; charset=utf-8", await Deno.readTextFile(new URL("index.html", page)))],
    ["/style.css", file("text/css; charset=utf-8", await Deno.readTextFile(new URL("style.css", page)))],
    ["/icon.svg", file("image/svg+xml; charset=utf-8", await Deno.readTextFile(new URL("icon.svg", page)))],
    ["/page.js", file("text/javascript; charset=utf-8", await Deno.readTextFile(program))],
    ["/config.json", file("application/json; charset=utf-8", JSON.stringify(config))],
  ]);
  const answer = ({ method, url }: Request): Response => {
    const isRead = method === "GET" || method === "HEAD";
    const found = files.get(new URL(url).pathname);
    const status = !isRead ? 405 : found === undefined ? 404 : 200;
    const message = isRead ? "not found\n" : "only GET and HEAD\n";
    const { body, headers } = isRead && found !== undefined ? found : file(text, message);
    return new Response(method === "HEAD" ? null : body, { status, headers });
  };
  const stopping = new AbortController();
  const server = listen({ hostname: host, port, signal: stopping.signal, onListen: () => {} }, answer);
  return {
    port: server.addr.port,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await server.finished;
    },
  };
}

function listen(options: Deno.ServeTcpOptions, answer: (request: Request) => Response) {
  try {
    return Deno.serve(options, answer);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const reason = cause instanceof Error ? cause.message : cause;
    throw new Error(`Cannot listen on ${options.hostname}:${options.port}: ${reason}`, { cause });
  }
}

/** The page runs its own program alone, talks to its own servers alone, and makes nothing of markup in texts. */
function headersFor({ webSocketUrl }: PageConfig): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    `connect-src 'self' ${webSocketUrl}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  };
}
