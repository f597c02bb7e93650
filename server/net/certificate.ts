import { createPrivateKey, X509Certificate } from "node:crypto";

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

/** Why browsers refuse a certificate at a time, which can be used all the same; `null`: they do not. */
export function validityProblem({ cert }: Certificate, now: Date): string | null {
  const { validFrom, validTo } = new X509Certificate(cert);
  const [from, to] = [new Date(validFrom), new Date(validTo)];
  if (now < from) return `it is not valid before ${from.toISOString().slice(0, 10)}`;
  return now > to ? `it has expired on ${to.toISOString().slice(0, 10)}` : null;
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
