/** The budgets of work (work_budget.ts). */
export type BudgetName = "refused" | "extra";

export interface Source {
  readonly client: string | null;
  /** Is told, where it is read, what work was done for it. Milliseconds. */
  charge?(budget: BudgetName, work: number): void;
}

/** Without a zone, and IPv4 that is written as IPv6 as IPv4. */
export function plainAddress(address: string): string {
  if (!address.includes(":")) return address;
  const [plain = ""] = address.split("%");
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1] ?? plain;
}

/** An IPv4 address, also one written as IPv6; else the /64, as a customer usually has all addresses in it. */
export function clientNetwork(address: string): string {
  const plain = plainAddress(address);
  if (!plain.includes(":")) return plain;
  const [head = "", tail = ""] = plain.toLowerCase().split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  const groups = [...before, ...new Array(Math.max(0, 8 - before.length - after.length)).fill("0"), ...after];
  return `${groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

export interface CountedNetwork {
  readonly network: string;
  readonly share: number;
}

/** The narrowest first. A customer may have a whole /56 or /48, so that these are bounded, too. */
export function countedNetworks(client: string | null): readonly CountedNetwork[] {
  if (client === null) return [];
  const groups = /^([0-9a-f]{1,4}):([0-9a-f]{1,4}):([0-9a-f]{1,4}):([0-9a-f]{1,4})::\/64$/.exec(client);
  if (groups === null) return [{ network: client, share: 1 }];
  const [, a, b, c, d] = groups;
  const high = (parseInt(d!, 16) & 0xff00).toString(16);
  return [
    { network: client, share: 1 },
    { network: `${a}:${b}:${c}:${high}::/56`, share: 2 },
    { network: `${a}:${b}:${c}::/48`, share: 4 },
  ];
}
