import { deferred } from "../../deferred.ts";
import { bigintToBytes, bytesToBigint, powMod } from "../bigint.ts";
import type { CryptoEngine, CryptoHelper } from "./engine.ts";

/**
 * The public operation of RSA in the numbers of JavaScript, which every runtime has.
 *
 * V8 is twice as fast with the object that it divides by most of the time. A server that is asked for unknown queues would
 * so tell them from others, as their key becomes that object: every operation has a modulus of its own.
 */
export const publicOperation: CryptoEngine["publicOperation"] = ({ modulus, exponent }, number) => {
  const base = bytesToBigint(number);
  const result = powMod(base, exponent, -(-modulus));
  return bigintToBytes(base < modulus ? result : 0n, number.length);
};

/** A worker that does it. Its program is text, as reading a module in a worker takes a permission that a server does not need. */
export function startWorker(): CryptoHelper {
  const program = `const powMod = ${powMod};
self.onmessage = ({ data }) => self.postMessage(powMod(...data));`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(program)}`, { type: "module" });
  let waiting = deferred<bigint>();
  worker.onmessage = ({ data }) => waiting.resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    waiting.reject(new Error(`Cannot compute: the worker failed: ${event.message}`));
  };
  return {
    async publicOperation({ modulus, exponent }, number) {
      waiting = deferred();
      const base = bytesToBigint(number);
      worker.postMessage([base, exponent, modulus]);
      const result = await waiting.promise;
      return bigintToBytes(base < modulus ? result : 0n, number.length);
    },
    close() {
      worker.terminate();
      waiting.promise.catch(() => {});
      waiting.reject(new Error("Cannot compute: the worker is closed"));
      return Promise.resolve();
    },
  };
}
