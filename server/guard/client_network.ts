/** Whom work is done for: a connection, whose `client` is what limits per address count it by, if they do. */
export interface Source {
  readonly client: string | null;
}

/**
 * What limits per address count by: an IPv4 address, or the first 64 bits of an IPv6 address, because a customer of
 * a network is usually given all addresses behind those. An IPv4 address written as IPv6 is the IPv4 address.
 * Anything else is taken as it is.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address;
  const [plain] = address.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain!);
  if (mapped !== null) return mapped[1]!;
  const [head = "", tail = ""] = plain!.toLowerCase().split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  const groups = [...before, ...new Array(Math.max(0, 8 - before.length - after.length)).fill("0"), ...after];
  return `${groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

/** A network that a limit counts by, and how many times the limit per address it may have. */
export interface CountedNetwork {
  readonly network: string;
  readonly share: number;
}

/**
 * The networks that a client of {@linkcode clientNetwork} counts in, the narrowest first: an IPv6 /64 counts in its
 * /56 and /48 too, which one customer may have as well, with twice and four times the limit. None for `null`.
 */
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
