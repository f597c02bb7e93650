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
 * `base ** exponent % modulus` for numbers that are public: the time depends on them.
 * The exponent is positive; it is read in windows of 4 bits when it is long, bit by bit when it is short.
 */
export function powMod(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const reduced = base % modulus;
  if (bitLength(exponent) > 32) return powModWindows(reduced, exponent, modulus);
  let result = reduced;
  const bits = exponent.toString(2);
  for (let i = 1; i < bits.length; i++) {
    result = result * result % modulus;
    if (bits.charCodeAt(i) === 0x31) result = result * reduced % modulus;
  }
  return result;
}

function powModWindows(base: bigint, exponent: bigint, modulus: bigint): bigint {
  const powers = [1n];
  for (let i = 1; i < 16; i++) powers.push(powers[i - 1]! * base % modulus);
  let result = 1n;
  for (const digit of exponent.toString(16)) {
    for (let i = 0; i < 4; i++) result = result * result % modulus;
    const window = Number.parseInt(digit, 16);
    if (window !== 0) result = result * powers[window]! % modulus;
  }
  return result;
}
