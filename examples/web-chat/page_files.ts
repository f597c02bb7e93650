import type { PageConfig } from "./smp_server.ts";

/** Something that the page is made of, as it is served. */
export interface PageFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** All that a page is made of. */
export interface PageFiles {
  /** What is asked for by the version of another page is not given: it would not fit. */
  readonly version: string;
  /** By their paths. */
  readonly files: ReadonlyMap<string, PageFile>;
  /** Of whatever else is answered. */
  readonly headers: Readonly<Record<string, string>>;
}

const types: Readonly<Record<string, string>> = {
  crt: "application/x-x509-ca-cert",
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json; charset=utf-8",
  png: "image/png",
  svg: "image/svg+xml; charset=utf-8",
  webmanifest: "application/manifest+json; charset=utf-8",
};

/** Files of the page's folder that are served as they are. */
const asTheyAre = ["style.css", "icon.svg", "icon-192.png", "icon-512.png", "app.webmanifest"];

/**
 * Reads the page; `directory` has its programs, bundled, and `authority` has signed the certificate of its server, for
 * those who want to trust it. Throws when a file cannot be read.
 */
export async function readPage(
  config: PageConfig,
  { directory, authority = null }: { readonly directory: string; readonly authority?: string | null },
): Promise<PageFiles> {
  const folder = new URL("page/", import.meta.url);
  const headers = headersFor(config);
  const parts = new Map([
    ...await Promise.all(
      asTheyAre.map(async (name) => [name, await Deno.readFile(new URL(name, folder))] as const),
    ),
    ["page.js", await Deno.readFile(`${directory}/main.js`)] as const,
    ["config.json", bytesOf(JSON.stringify(config))] as const,
  ]);
  const index = await Deno.readTextFile(new URL("index.html", folder));
  const worker = await Deno.readTextFile(`${directory}/service_worker.js`);
  const version = await hashOf([bytesOf(JSON.stringify(headers) + index + worker), ...parts.values()]);
  const ofVersion = (name: string) => `/${name}?v=${version}`;

  const linked = index.replaceAll(
    /"\/([\w.-]+)"/g,
    (link, name) => parts.has(name) ? `"${ofVersion(name)}"` : link,
  );
  const shell = { version, files: ["/", ...[...parts.keys()].map(ofVersion)] };
  parts.set("", bytesOf(linked));
  parts.set("service_worker.js", bytesOf(`self.shell=${JSON.stringify(shell)};\n${worker}`));
  if (authority !== null) parts.set("authority.crt", bytesOf(authority));
  const files = [...parts].map(([name, body]) => {
    const type = types[/\.(\w+)$/.exec(name)?.[1] ?? "html"]!;
    return [`/${name}`, { headers: { ...headers, "content-type": type }, body }] as const;
  });
  return { version, files: new Map(files), headers };
}

/** What is answered to a request. */
export function answerTo(
  { method, url }: { readonly method: string; readonly url: string },
  { version, files, headers }: PageFiles,
): PageFile & { readonly status: number } {
  const text = (status: number, body: string) => {
    return {
      status,
      headers: { ...headers, "content-type": "text/plain; charset=utf-8" },
      body: bytesOf(body),
    };
  };
  if (method !== "GET" && method !== "HEAD") return text(405, "only GET and HEAD\n");
  // Not all that is asked for is a URL: `//`.
  const { pathname, searchParams } = URL.parse(url, "http://localhost") ?? {};
  const found = files.get(pathname ?? "");
  if (found === undefined || (searchParams?.get("v") ?? version) !== version) return text(404, "not found\n");
  return { status: 200, ...found };
}

/** The page runs its own program alone, talks to servers alone, and makes nothing of markup in texts. */
function headersFor({ webSocketUrl, anyServer }: PageConfig): Record<string, string> {
  const isSecure = webSocketUrl.startsWith("wss:");
  const servers = anyServer ? isSecure ? "wss:" : "ws: wss:" : webSocketUrl;
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    `connect-src 'self' ${servers}`,
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types service-worker",
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

async function hashOf(parts: readonly Uint8Array<ArrayBuffer>[]): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await new Blob([...parts]).arrayBuffer());
  return new Uint8Array(digest).slice(0, 8).toHex();
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
