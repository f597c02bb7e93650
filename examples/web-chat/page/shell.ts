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
