import { createPrivateKey, X509Certificate } from "node:crypto";

/** A certificate with those that lead to it, and its key; PEM. */
export interface Certificate {
  /** Certificates, the server's own first. */
  readonly cert: string;
  /** The private key of the first one, without a passphrase. */
  readonly key: string;
}

/** Throws `RangeError` when they are no PEM or do not belong together. */
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
  if (certificate.checkPrivateKey(privateKey)) return;
  throw new RangeError("Cannot use the TLS certificate: the key is not that of the first certificate");
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

  /** Throws `RangeError`, and changes nothing then. */
  set(certificate: Certificate): void {
    checkCertificate(certificate);
    this.#certificate = certificate;
    for (const listener of this.#listeners) listener();
  }

  /** Is told after every change, until the signal aborts. */
  onChange(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener));
  }
}
