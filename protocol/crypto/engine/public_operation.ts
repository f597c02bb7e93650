import { bigintToBytes, bytesToBigint, powMod } from "../bigint.ts";
import type { CryptoEngine } from "./engine.ts";

/**
 * The public operation of RSA in the numbers of JavaScript, which every runtime has. V8 is twice as fast with a modulus
 * that it has divided by before, which is why a key keeps its own.
 */
export const publicOperation: CryptoEngine["publicOperation"] = ({ modulus, exponent }, number) => {
  const base = bytesToBigint(number);
  const result = powMod(base, exponent, modulus);
  return bigintToBytes(base < modulus ? result : 0n, number.length);
};
