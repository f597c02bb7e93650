import type { Certificate } from "../net/certificate.ts";

/**
 * Gives a worker's server the certificate that its parent has told, until it is taken: the parent tells it once, and for
 * want of descriptors there may be no listener for it in that moment.
 */
export class ToldCertificate {
  readonly #use: (certificate: Certificate) => void;
  readonly #failed: (error: unknown) => void;
  #waiting: Certificate | null = null;

  /** `use` throws where it cannot be taken; `failed` is told so once for each certificate. */
  constructor(use: (certificate: Certificate) => void, failed: (error: unknown) => void) {
    this.#use = use;
    this.#failed = failed;
  }

  take(certificate: Certificate): void {
    this.#waiting = certificate;
    this.#try(this.#failed);
  }

  /** Tries again what could not be taken. */
  look(): void {
    this.#try(() => {});
  }

  #try(failed: (error: unknown) => void): void {
    if (this.#waiting === null) return;
    try {
      this.#use(this.#waiting);
      this.#waiting = null;
    } catch (error) {
      failed(error);
    }
  }
}
