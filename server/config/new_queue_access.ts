import { isIP } from "node:net";
import { isPassword, longestPassword } from "../../protocol/mod.ts";

/** Who may create queues: anybody, or who knows a password, and who comes from certain addresses. */
export type NewQueueAccess = "anyone" | NewQueueRule;

/** One of both is enough. */
export interface NewQueueRule {
  /** 1 to 256 printable ASCII characters without spaces (extensions.md pass1). @default no password is enough */
  readonly password?: string;
  /** IP addresses, and networks like `10.0.0.0/8` and `2001:db8::/32`. @default no address is enough */
  readonly addresses?: readonly string[];
}

/** Throws `RangeError`, never with the password. */
export function checkNewQueueAccess(access: NewQueueAccess): void {
  if (access === "anyone") return;
  const { password, addresses = [] } = access;
  if (password !== undefined && !isPassword(password)) {
    throw new RangeError(`Cannot use the password for new queues: it is not ${passwordRule}`);
  }
  const wrong = addresses.find((address) => !isNetwork(address));
  if (wrong !== undefined) {
    throw new RangeError(`Cannot use "${wrong}" for new queues: it is no IP address or network`);
  }
  if (password !== undefined || addresses.length > 0) return;
  throw new RangeError(
    "Cannot let nobody create queues: give a password or addresses, or set newQueues to 0",
  );
}

export const passwordRule = `1 to ${longestPassword} printable ASCII characters without spaces`;

/** Whether a text is an IP address, or one with `/` and the number of bits that count; IPv4 is not written as IPv6. */
export function isNetwork(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/");
  const family = isIP(address);
  if (family === 0 || address.includes("%") || more.length > 0) return false;
  if (family === 6 && /^http:\/\/\[::ffff:/.test(new URL(`http://[${address}]`).href)) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
}

/** How the ini says it. */
export interface NewQueueSettings {
  /** `anyone`, or `password` and addresses. */
  readonly create: readonly string[];
  /** `null`: there is none. */
  readonly createPassword: string | null;
}

export function newQueueSettings(access: NewQueueAccess): NewQueueSettings {
  if (access === "anyone") return { create: ["anyone"], createPassword: null };
  const { password, addresses = [] } = access;
  const create = password === undefined ? addresses : ["password", ...addresses];
  return { create, createPassword: password ?? null };
}

/** What the ini says of it. */
export function newQueueAccessOf({ create, createPassword }: NewQueueSettings): NewQueueAccess {
  if (create.includes("anyone")) return "anyone";
  const addresses = create.filter((item) => item !== "password");
  return { ...(create.includes("password") && { password: createPassword ?? "" }), addresses };
}
