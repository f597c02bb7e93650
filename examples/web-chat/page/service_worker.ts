/**
 * Keeps what the page is made of, so that it opens without its server. It sees no message: these go through WebSockets
 * and IndexedDB alone. Online, the page is always the server's newest.
 *
 * @module
 */

/** What the server puts before this program; each version of the page makes another one. */
interface Shell {
  readonly version: string;
  readonly files: readonly string[];
}

/** As much of `ServiceWorkerGlobalScope` as is used; its library does not go with that of pages. */
interface WorkerScope {
  readonly shell: Shell;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: { readonly type: "window" }): Promise<readonly WindowClient[]>;
    openWindow(url: string): Promise<unknown>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Waiting) => void): void;
  addEventListener(type: "fetch", listener: (event: Fetching) => void): void;
  addEventListener(type: "notificationclick", listener: (event: Clicked) => void): void;
}
interface Waiting {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetching {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface Clicked extends Waiting {
  readonly notification: Notification;
}
interface WindowClient {
  focus(): Promise<WindowClient>;
  postMessage(message: unknown, transfer: readonly MessagePort[]): void;
}

/** Milliseconds that the server has to answer before the page opens as it was. */
const patience = 3_000;
const prefix = "smp-web-chat-shell-";
/** Milliseconds that tabs have to say which of them has the chat. */
const answerTime = 1_000;

const worker = globalThis as unknown as WorkerScope;
const { version, files } = worker.shell;
const name = prefix + version;

worker.addEventListener("install", (event) => event.waitUntil(keep()));
worker.addEventListener("activate", (event) => event.waitUntil(replace()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname, search } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (pathname === "/") event.respondWith(newest(request));
  } else if (files.includes(pathname + search)) event.respondWith(kept(pathname + search));
});
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.tag));
});

async function keep(): Promise<void> {
  const cache = await caches.open(name);
  await cache.addAll(files.map((file) => new Request(file, { cache: "reload" })));
  await worker.skipWaiting();
}

/** What older pages are made of they have loaded. */
async function replace(): Promise<void> {
  for (const other of await caches.keys()) {
    if (other.startsWith(prefix) && other !== name) await caches.delete(other);
  }
  await worker.clients.claim();
}

async function newest(request: Request): Promise<Response> {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(patience) });
    // A proxy may answer in the place of its server.
    if (response.status < 500) return response;
  } catch {
    // There is no server, or no network.
  }
  return await kept("/");
}

async function kept(file: string): Promise<Response> {
  return await (await caches.open(name)).match(file) ?? await fetch(file);
}

/** Shows the page, of several tabs the one that has the chat, and in it the conversation that was notified of. */
async function open(conversation: string): Promise<void> {
  const pages = await worker.clients.matchAll({ type: "window" });
  const [first] = pages;
  if (first === undefined) return void await worker.clients.openWindow("/");
  const late = new Promise<WindowClient>((resolve) => setTimeout(resolve, answerTime, first));
  const chat = await Promise.race([...pages.map((page) => opened(page, conversation)), late]);
  await chat.focus();
}

/** Resolves when a page has opened a conversation; never for one that has not the chat. */
function opened(page: WindowClient, conversation: string): Promise<WindowClient> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => resolve(page);
    page.postMessage({ type: "open", conversation }, [port2]);
  });
}
