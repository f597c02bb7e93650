import { ParseError, parseQueueInfo } from "@simplexmq/smp/protocol";

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
