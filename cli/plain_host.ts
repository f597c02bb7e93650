import { isIPv6 } from "node:net";

/**
 * A host to listen on as it was given, an IPv6 address without the brackets that it may stand in and in the one form that
 * RFC 5952 gives it, so that `[::]` and `0::0` are `::`.
 */
export function plainHost(text: string): string {
  const [, bracketed] = /^\[(.*)\]$/.exec(text) ?? [];
  const host = bracketed ?? text;
  if (!isIPv6(host)) return text;
  try {
    return new URL(`http://[${host}]`).hostname.slice(1, -1);
  } catch {
    // It has a zone.
    return host;
  }
}
