/** As much of Trusted Types as is used; browsers without them take texts. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): {
    createScriptURL(url: string): string;
  };
}

const program = "/service_worker.js";

/**
 * Has the browser keep what the page is made of, so that it opens without its server; `null` where it does not, as with
 * a certificate that was accepted for a page and is not trusted, or in some private windows.
 */
export async function keepShell(): Promise<ServiceWorkerRegistration | null> {
  // Without a secure context, and in private windows of some browsers, there are none.
  const { serviceWorker } = navigator as { readonly serviceWorker?: ServiceWorkerContainer };
  if (serviceWorker === undefined) return null;
  const { trustedTypes } = globalThis as { readonly trustedTypes?: TrustedTypes };
  try {
    // It makes no other URL than this one of anything.
    const policy = trustedTypes?.createPolicy("service-worker", { createScriptURL: () => program });
    const url = policy?.createScriptURL("") ?? program;
    return await serviceWorker.register(url, { scope: "/", updateViaCache: "none" });
  } catch {
    return null;
  }
}

/** Milliseconds before each look for a newer version: a look that begins while one is failing fails with that. */
const looks = [0, 2_000, 10_000];

/**
 * Has the browser look whether the server has a newer version of what it keeps. By itself it looks when the page is
 * opened, and not again when that fails; registering the same program once more is no look either.
 */
export async function renewShell(shell: ServiceWorkerRegistration, signal: AbortSignal): Promise<void> {
  for (const delay of looks) {
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (signal.aborted) return;
    try {
      return void await shell.update();
    } catch {
      // The server is away again, or the browser keeps nothing any more.
    }
  }
}
