import type { ConnectionInfo } from "@simplexmq/smp/agent";
import { formatAddress } from "@simplexmq/smp/protocol";
import { element, make } from "./dom.ts";
import { qrCode } from "./qr.ts";

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** What is shown of a conversation's connection. */
export interface Information {
  readonly info: ConnectionInfo;
  /** The safety code; `null` without a session. */
  readonly code: string | null;
  /** Notes whether the person has compared the code. Rejects when that cannot be stored. */
  verify(isVerified: boolean): Promise<void>;
}

/** What is known of a connection, by its names. */
export function factsOf({ createdAt, session }: ConnectionInfo): (readonly [name: string, value: string])[] {
  const made = ["Made", day.format(createdAt)] as const;
  if (session === null) {
    return [made, ["Secrecy", "end-to-end encrypted as in SMP 0.3, without forward secrecy"]];
  }
  const { since, servers: { receiving, sending } } = session;
  const hosts = (servers: typeof receiving) =>
    [
      ...new Set(
        servers.map(({ host, port }) => formatAddress(port === undefined ? { host } : { host, port })),
      ),
    ].join(", ");
  return [
    made,
    ["Secrecy", since === null ? "is being agreed on" : `forward secret since ${day.format(since)}`],
    ["Messages come through", hosts(receiving)],
    ["Messages go through", hosts(sending)],
  ];
}

/** Opens the dialog about a connection. */
export function showInformation({ info, code, verify }: Information): void {
  const dialog = element("information-dialog", HTMLDialogElement);
  const verified = element("verified", HTMLInputElement);
  const problem = element("information-error", HTMLElement);
  element("information-title", HTMLElement).textContent = info.connection;
  element("facts", HTMLElement).replaceChildren(
    ...factsOf(info).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
  element("safety", HTMLElement).hidden = code === null;
  element("safety-code", HTMLElement).textContent = code ?? "";
  element("safety-qr", HTMLElement).replaceChildren(
    ...code === null ? [] : [qrCode(code, "The safety code as a QR code")],
  );
  verified.checked = info.session?.verified ?? false;
  problem.textContent = "";
  verified.onchange = async () => {
    const isVerified = verified.checked;
    problem.textContent = "";
    try {
      await verify(isVerified);
    } catch (error) {
      verified.checked = !isVerified;
      problem.textContent = String(error);
    }
  };
  element("information-close", HTMLButtonElement).onclick = () => dialog.close();
  dialog.showModal();
}
