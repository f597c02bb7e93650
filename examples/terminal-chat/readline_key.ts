/** The name of something among readline's own, which nothing else tells; `undefined`: it has none of that name. */
export function ownKey(lines: object, name: string): symbol | undefined {
  for (let at: object | null = lines; at !== null; at = Object.getPrototypeOf(at)) {
    const key = Object.getOwnPropertySymbols(at).find(({ description }) => description === name);
    if (key !== undefined) return key;
  }
  return undefined;
}
