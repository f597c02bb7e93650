const hexDigits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** What current runtimes have of their own, several times as fast; Node 22 and older browsers lack it. */
const native = Uint8Array as unknown as { readonly fromHex?: (hex: string) => Uint8Array<ArrayBuffer> };

/** The number that `bytes` are in big-endian order. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  const own = bytes as Uint8Array & { toHex?(): string };
  return BigInt(`0x0${own.toHex?.() ?? toHex(bytes)}`);
}

function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (let i = 0; i < bytes.length; i++) hex += hexDigits[bytes[i]!];
  return hex;
}

/** The `length` bytes of a number in big-endian order; it must fit. */
export function bigintToBytes(number: bigint, length: number): Uint8Array<ArrayBuffer> {
  const hex = number.toString(16).padStart(length * 2, "0");
  if (hex.length > length * 2) {
    throw new RangeError(`Cannot encode number: it needs more than ${length} bytes`);
  }
  if (native.fromHex) return native.fromHex(hex);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

/** How many bits a positive number has. */
export function bitLength(number: bigint): number {
  const hex = number.toString(16);
  return (hex.length - 1) * 4 + 32 - Math.clz32(Number.parseInt(hex.charAt(0), 16));
}

/**
 * `base ** exponent % modulus` for numbers that are public: the time depends on them. The exponent is positive; it is read
 * in windows of 4 bits when it is long, bit by bit when it is short. Uses nothing of this module, as workers get its text.
 */
export function powMod(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const windowLength = exponent >> 32n === 0n ? 1 : 4;
  const digits = exponent.toString(2 ** windowLength);
  const powers = [1n, base % modulus];
  for (let i = 2; i < 2 ** windowLength; i++) powers.push(powers[i - 1]! * powers[1]! % modulus);
  let result = powers[Number.parseInt(digits[0]!, 16)]!;
  for (let at = 1; at < digits.length; at++) {
    for (let i = 0; i < windowLength; i++) result = result * result % modulus;
    const digit = Number.parseInt(digits[at]!, 16);
    if (digit !== 0) result = result * powers[digit]! % modulus;
  }
  return result;
}
