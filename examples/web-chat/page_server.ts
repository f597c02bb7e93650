import { HttpServer, type Reply } from "../../server/observe/http_server.ts";
import type { PageConfig } from "./smp_server.ts";

/** Milliseconds for a request. */
const timeout = 30_000;
const mostConnections = 256;

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

/** Serves the page from memory. Throws when a file cannot be read or the port cannot be had. */
export async function servePage({ host, port, config, program }: PageServerOptions): Promise<HttpServer> {
  const page = new URL("page/", import.meta.url);
  const headers = headersFor(config);
  const reply = (type: string, body: string): Reply => ({
    headers: { ...headers, "content-type": `${type}; charset=utf-8` },
    body,
  });
  const files = new Map([
    ["/", reply("text/html", await Deno.readTextFile(new URL("index.html", page)))],
    ["/style.css", reply("text/css", await Deno.readTextFile(new URL("style.css", page)))],
    ["/icon.svg", reply("image/svg+xml", await Deno.readTextFile(new URL("icon.svg", page)))],
    ["/page.js", reply("text/javascript", await Deno.readTextFile(program))],
    ["/config.json", reply("application/json", JSON.stringify(config))],
  ]);
  const notFound = { ...reply("text/plain", "not found\n"), status: 404 };
  const notAllowed = { ...reply("text/plain", "only GET and HEAD\n"), status: 405 };
  return HttpServer.start({
    host,
    port,
    timeout,
    mostConnections,
    reply: ({ method, path }) =>
      method === "GET" || method === "HEAD" ? files.get(path) ?? notFound : notAllowed,
  });
}

/** The page runs its own program alone, talks to its own servers alone, and makes nothing of markup in texts. */
function headersFor({ webSocketUrl }: PageConfig): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
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
