import { isIPv6 } from "node:net";
import { formatAddress } from "../../protocol/mod.ts";
import type { Page, PageRequest } from "./websocket_listener.ts";

/** What a server tells a browser of itself. */
export interface PageOptions {
  /** The name that clients reach the server by; `null`: the one that the browser has asked for. */
  readonly publicHost: string | null;
  /** For TCP. */
  readonly port: () => number;
  readonly keyHash: string;
}

const policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const headers: Page["headers"] = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": policy,
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

/** Characters of a name and a port. */
const longestHost = 260;
/** Pages that are kept. */
const mostKept = 8;
/** Images a second that are made for names that browsers have asked for: whoever names many gets pages without. */
const mostImages = 10;

/** What whoever opens the server's WebSocket port in a browser sees: a page without scripts and styles. */
export function welcomePage(
  { publicHost, port, keyHash }: PageOptions,
): (request: PageRequest) => Promise<Page & { readonly body: string } | null> {
  const kept = new Map<string, string>();
  let second = -Infinity, images = 0;
  return async ({ method, url, host: asked }) => {
    if (url !== "/" || method !== "GET" && method !== "HEAD") return null;
    const address = formatAddress({ host: publicHost ?? hostOf(asked), port: port(), keyHash });
    const known = kept.get(address);
    if (known !== undefined) return { headers, body: known };
    if (performance.now() - second >= 1_000) [second, images] = [performance.now(), 0];
    if (++images > mostImages) return { headers, body: pageOf(address, "") };
    const body = pageOf(address, await qrCode(address).catch(() => ""));
    if (kept.size >= mostKept) kept.delete(kept.keys().next().value!);
    kept.set(address, body);
    return { headers, body };
  };
}

/** Nothing but a name or an IP address of it gets into the page. */
function hostOf(asked: string): string {
  if (asked.length > longestHost) return "localhost";
  const literal = /^\[([0-9a-f:.]{2,45})\](?::\d{1,5})?$/i.exec(asked)?.[1];
  if (literal !== undefined) return isIPv6(literal) ? literal : "localhost";
  return /^([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::\d{1,5})?$/i.exec(asked)?.[1] ?? "localhost";
}

/** An image of the address. Loads the library `uqr` when called. */
async function qrCode(address: string): Promise<string> {
  const { encode } = await import("uqr");
  const { data, size } = encode(address, { border: 4 });
  const path = data.flatMap((row, y) => row.flatMap((isDark, x) => isDark ? [`M${x} ${y}h1v1h-1z`] : []))
    .join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" width="280" height="280" role="img" ` +
    `aria-label="QR code of the address"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path d="${path}"/></svg>`;
}

function pageOf(address: string, image: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SMP server</title>
</head>
<body>
<h1>SMP server</h1>
<p>This server passes on encrypted messages. There is nothing to see here: clients connect to it with a WebSocket, or with TCP by its address:</p>
<p><code>${address}</code></p>
${image}
</body>
</html>
`;
}
