/** Numbers from 0 (included) to 1, the same ones for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Bytes that an input may have at most. */
const longest = 20_000;

/** An input that was changed in a few places, with pieces of another one and words of the format. */
export function mutate(
  input: Uint8Array,
  other: Uint8Array,
  { words, random }: { readonly words: readonly string[]; readonly random: () => number },
): Uint8Array<ArrayBuffer> {
  const below = (limit: number) => Math.floor(random() * limit);
  let bytes = Array.from(input);
  const changes = 1 + below(4);
  for (let i = 0; i < changes; i++) {
    const at = below(bytes.length + 1);
    const length = 1 + below(random() < 0.8 ? 8 : 200);
    switch (below(8)) {
      case 0:
        bytes[Math.min(at, Math.max(bytes.length - 1, 0))] = below(256);
        break;
      case 1:
        if (at < bytes.length) bytes[at]! ^= 1 << below(8);
        break;
      case 2:
        bytes.splice(at, length);
        break;
      case 3:
        bytes.splice(at, 0, ...Array.from({ length }, () => below(256)));
        break;
      case 4:
        bytes.splice(at, 0, ...bytes.slice(at, at + length));
        break;
      case 5: {
        const word = words[below(words.length)] ?? "";
        bytes.splice(at, below(2) * word.length, ...Array.from(word, (char) => char.charCodeAt(0)));
        break;
      }
      case 6: {
        const from = below(other.length + 1);
        bytes.splice(at, below(2) * length, ...other.subarray(from, from + length));
        break;
      }
      case 7:
        bytes = [...bytes.slice(0, at), ...other.subarray(below(other.length + 1))];
        break;
    }
  }
  return Uint8Array.from(bytes.slice(0, longest));
}
