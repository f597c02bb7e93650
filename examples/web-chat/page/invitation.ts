import { formatAddress, ParseError, parseQueueInfo, type ServerAddress } from "@simplexmq/smp/protocol";

/** A link to a page that holds an invitation: behind `#`, which browsers do not send to the server. */
export function linkOf(page: string, invitation: string): string {
  return `${page}#${invitation.replaceAll("#", "%23")}`;
}

/** The invitation in a link, or in other text that somebody was sent; `null` when there is none. */
export function findInvitation(text: string): string | null {
  const found = /smp::\S+/.exec(text)?.[0] ?? null;
  return found?.replaceAll(/%23/g, "#") ?? null;
}

/** What is wrong with an invitation for a page that knows one server alone, by its key hash, or any: `null`. */
export function problemOf(invitation: string | null, keyHash: string | null): string | null {
  if (invitation === null) {
    return "There is no invitation in this text: paste the whole link that you were sent.";
  }
  try {
    const { server } = parseQueueInfo(invitation);
    if (keyHash === null && server.keyHash === undefined) {
      return `This invitation does not say which key the server ${server.host} has: ask for another one.`;
    }
    if (keyHash === null || server.keyHash === keyHash) return null;
    return `This invitation is for the server ${server.host}: open its link instead.`;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return "The invitation is not whole, or was changed: copy all of the link.";
  }
}

/**
 * What has to be said before an invitation on a server is used; `null`: nothing. The page finds its own server by the
 * key, and any other where the invitation says, which whoever made it has chosen: any host of the person's network.
 */
export function warningFor(
  server: ServerAddress,
  { own, known }: { readonly own: ServerAddress; readonly known: readonly ServerAddress[] },
): string | null {
  const isKnown = server.keyHash === own.keyHash ||
    known.some((one) => formatAddress(one) === formatAddress(server));
  if (isKnown) return null;
  const [place] = formatAddress(server).split("#", 1);
  return `This invitation is on another server, ${place}, which will see this browser's network address. ` +
    "Press Join again to use it.";
}
