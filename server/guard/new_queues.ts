import { BlockList, isIP, isIPv6 } from "node:net";
import { checkNewQueueAccess, type NewQueueAccess } from "../config/new_queue_access.ts";
import { plainAddress } from "./client_network.ts";

/** Who may create queues now: it can be changed while the server runs. */
export class NewQueues {
  #password: string | null = null;
  /** `null`: anybody may. */
  #networks: BlockList | null = null;

  /** Throws `RangeError`, never with the password. */
  constructor(access: NewQueueAccess = "anyone") {
    this.set(access);
  }

  /** `null`: none is asked for. */
  get password(): string | null {
    return this.#password;
  }

  /** Throws `RangeError`, never with the password, and changes nothing then. */
  set(access: NewQueueAccess): void {
    checkNewQueueAccess(access);
    const rule = access === "anyone" ? null : access;
    this.#password = rule?.password ?? null;
    this.#networks = rule && networksOf(rule.addresses ?? []);
  }

  /** `password`: the one that the connection has shown to know; `address`: of the client, if it is known. */
  mayCreate(password: string | null, address: string | null): boolean {
    if (this.#networks === null) return true;
    if (password !== null && password === this.#password) return true;
    // IPv4 is of IPv4 networks alone, on a port for both as well: `::/0` is not everybody.
    const plain = plainAddress(address ?? "");
    return isIP(plain) !== 0 && this.#networks.check(plain, familyOf(plain));
  }
}

function networksOf(addresses: readonly string[]): BlockList {
  const networks = new BlockList();
  for (const text of addresses) {
    const [address = "", bits] = text.split("/");
    if (bits === undefined) networks.addAddress(address, familyOf(address));
    else networks.addSubnet(address, Number(bits), familyOf(address));
  }
  return networks;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv6(address) ? "ipv6" : "ipv4";
}
