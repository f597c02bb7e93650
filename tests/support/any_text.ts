import fc from "fast-check";

const surrogates = { first: 0xd800, count: 0x800 };

/**
 * Any character. The unit "binary" of fast-check is the same, and makes a map of all million of them first, which takes 2
 * seconds of each process.
 */
export const anyCharacter: fc.Arbitrary<string> = fc.nat(0x10ffff - surrogates.count).map((number) =>
  String.fromCodePoint(number < surrogates.first ? number : number + surrogates.count)
);

/** Any text, of up to `maxLength` characters. */
export function anyText({ maxLength }: { readonly maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc.string({ unit: anyCharacter, ...(maxLength !== undefined && { maxLength }) });
}
