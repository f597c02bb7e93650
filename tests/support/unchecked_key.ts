import { bigintToBytes } from "../../protocol/crypto/bigint.ts";
import { derTag, encodeDer, encodePositiveInteger, rsaAlgorithm } from "../../protocol/crypto/der.ts";
import type { PublicKey } from "../../protocol/mod.ts";

/** A public key of any two numbers, also of such as make none that parses. */
export function uncheckedKey(modulus: bigint, exponent: bigint): PublicKey {
  const numbers = [modulus, exponent].map((number) =>
    encodePositiveInteger(bigintToBytes(number, bytesOf(number)))
  );
  const bits = encodeDer(derTag.bitString, Uint8Array.of(0), encodeDer(derTag.sequence, ...numbers));
  const der = encodeDer(derTag.sequence, rsaAlgorithm, bits);
  return { der, modulus, exponent, bits: modulus.toString(2).length };
}

function bytesOf(number: bigint): number {
  return Math.ceil(number.toString(2).length / 8);
}
