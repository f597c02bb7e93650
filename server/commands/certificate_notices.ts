import { type Certificate, validityOf, validityProblem } from "../net/certificate.ts";

/** Milliseconds between two notices of the same. */
const pause = 86_400_000;

/** The time by which something is told. */
export interface NoticeClock {
  /** Milliseconds since 1970, which may jump. */
  readonly now: () => number;
  /** Milliseconds that never go back. */
  readonly steady: () => number;
}

/** What is wrong with a certificate for others, or soon will be; `null`: nothing. */
export function warningOf(certificate: Certificate, path: string, now: number): string | null {
  const problem = validityProblem(validityOf(certificate), now);
  if (problem === null) return null;
  return problem.isRefused
    ? `browsers refuse the certificate in ${path}: ${problem.text}`
    : `the certificate in ${path} has to be renewed: ${problem.text}`;
}

/** Says that a certificate runs out: at once, once a day, and when it has. */
export class CertificateNotices {
  readonly #path: string;
  readonly #warn: (text: string) => void;
  readonly #clock: NoticeClock;
  #told: { readonly certificate: string; readonly isRefused: boolean; readonly at: number } | null = null;

  constructor(path: string, warn: (text: string) => void, clock: NoticeClock) {
    this.#path = path;
    this.#warn = warn;
    this.#clock = clock;
  }

  /** Says what is to be said of the certificate that is used now. */
  look(certificate: Certificate): void {
    const now = this.#clock.now();
    const problem = validityProblem(validityOf(certificate), now);
    if (problem === null) return;
    const [told, at] = [this.#told, this.#clock.steady()];
    const isNew = told?.certificate !== certificate.cert || told.isRefused !== problem.isRefused;
    if (!isNew && at - told.at < pause) return;
    this.#told = { certificate: certificate.cert, isRefused: problem.isRefused, at };
    this.#warn(warningOf(certificate, this.#path, now)!);
  }
}
