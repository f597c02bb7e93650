import { createPrivateKey, X509Certificate } from "node:crypto";
import { counted } from "../../cli/counted.ts";

const day = 86_400_000;
/** Days before its end in which a certificate is warned of. */
const warningDays = 14;

/** A certificate with those that lead to it, and its key; PEM. */
export interface Certificate {
  /** Certificates, the server's own first. */
  readonly cert: string;
  /** The private key of the first one, without a passphrase. */
  readonly key: string;
}

/** Throws `RangeError` when they are no PEM, do not belong together, or are nothing for TLS. */
export function checkCertificate({ cert, key }: Certificate): void {
  let certificate, privateKey;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    throw new RangeError("Cannot use the TLS certificate: it is no PEM of a certificate");
  }
  try {
    privateKey = createPrivateKey(key);
  } catch {
    throw new RangeError("Cannot use the TLS key: it is no PEM of a private key without a passphrase");
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new RangeError("Cannot use the TLS certificate: the key is not that of the first certificate");
  }
  try {
    // What does TLS here reads all of the chain, and takes fewer kinds of keys.
    Deno.createHttpClient({ cert, key }).close();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RangeError(`Cannot use the TLS certificate: ${reason}`, { cause });
  }
}

/** Between which times a certificate can be used, milliseconds since 1970. */
export interface Validity {
  readonly from: number;
  readonly to: number;
}

/** Of the first certificate: those that lead to it may be of no use to anybody any more. */
export function validityOf({ cert }: Certificate): Validity {
  const { validFrom, validTo } = new X509Certificate(cert);
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

/** Whole days until a certificate runs out; below 0 when it has. */
export function daysLeft({ to }: Validity, now: number): number {
  return Math.floor((to - now) / day);
}

/** What is wrong with the time of a certificate, which can be used all the same; `null`: nothing. */
export function validityProblem(
  validity: Validity,
  now: number,
): { readonly isRefused: boolean; readonly text: string } | null {
  const { from, to } = validity;
  if (now < from) return { isRefused: true, text: `it is not valid before ${dateOf(from)}` };
  if (now > to) return { isRefused: true, text: `it has expired on ${dateOf(to)}` };
  const days = daysLeft(validity, now);
  if (days >= warningDays) return null;
  const left = days === 0 ? "within a day" : `in ${counted(days, "day")}`;
  return { isRefused: false, text: `it runs out ${left}, on ${dateOf(to)}` };
}

/** The day of a time, in UTC. */
export function dateOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** The certificate that new connections get; those that are there keep theirs. */
export class CertificateHolder {
  readonly #listeners = new Set<() => void>();
  #certificate: Certificate;

  /** Throws `RangeError`. */
  constructor(certificate: Certificate) {
    checkCertificate(certificate);
    this.#certificate = certificate;
  }

  get current(): Certificate {
    return this.#certificate;
  }

  /** Throws `RangeError`, or what a listener throws, and changes nothing then. */
  set(certificate: Certificate): void {
    checkCertificate(certificate);
    const former = this.#certificate;
    this.#certificate = certificate;
    try {
      for (const listener of this.#listeners) listener();
    } catch (error) {
      this.#certificate = former;
      throw error;
    }
  }

  /** Is told after every change, which it prevents by throwing, until the signal aborts. */
  onChange(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener));
  }
}
