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
