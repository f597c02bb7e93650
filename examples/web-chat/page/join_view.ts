import { parseAddress, parseQueueInfo, type ServerAddress } from "@simplexmq/smp/protocol";
import type { PageConfig } from "../smp_server.ts";
import { bindDialog } from "./dialogs.ts";
import { element } from "./dom.ts";
import { findInvitation, problemOf, warningFor } from "./invitation.ts";

/** How conversations begin. */
export interface JoinActions {
  /** Makes an invitation to a conversation; gives what went wrong. */
  invite(name: string): Promise<string | null>;
  /** Joins a conversation; gives what went wrong. */
  join(name: string, invitation: string): Promise<string | null>;
  /** It has begun. */
  done(): void;
  /** The servers of new conversations. */
  servers(): readonly ServerAddress[];
}

/** Binds the dialogs in which conversations begin, and opens one for the link of an invitation, until the signal aborts. */
export function bindJoin(config: PageConfig, actions: JoinActions, signal: AbortSignal): void {
  const { done } = actions;
  const inviteName = element("invite-name", HTMLInputElement);
  bindDialog("invite-dialog", element("invite", HTMLElement), {
    submit: () => actions.invite(inviteName.value.trim()),
    done,
  });

  const joinName = element("join-name", HTMLInputElement);
  const joinLink = element("join-link", HTMLTextAreaElement);
  /** An invitation on a server that the person was told of. */
  let toldOf: string | null = null;
  const submit = async () => {
    const invitation = findInvitation(joinLink.value);
    const problem = problemFor(config, invitation);
    if (problem !== null) return problem;
    const { server } = parseQueueInfo(invitation!);
    const warning = warningFor(server, { own: parseAddress(config.server), known: actions.servers() });
    if (warning !== null && toldOf !== invitation) {
      toldOf = invitation;
      return warning;
    }
    return await actions.join(joinName.value.trim(), invitation!);
  };
  const join = bindDialog("join-dialog", element("join", HTMLElement), { submit, done });
  // A link only fills the form: joining is for the person to decide.
  const takeLink = () => {
    const invitation = findInvitation(location.hash);
    if (invitation === null) return;
    history.replaceState(null, "", location.pathname);
    join.open();
    joinLink.value = invitation;
    joinName.focus();
  };
  addEventListener("hashchange", takeLink, { signal });
  takeLink();
}

function problemFor({ server, anyServer }: PageConfig, invitation: string | null): string | null {
  return problemOf(invitation, anyServer ? null : parseAddress(server).keyHash ?? null);
}
