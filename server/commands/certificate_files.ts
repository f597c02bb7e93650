import { type Certificate, checkCertificate, daysLeft, validityOf } from "../net/certificate.ts";
import type { CertificateStatus } from "../admin/status.ts";
import type { ServerConfig } from "../config/config.ts";
import type { Logger } from "../../cli/logger.ts";
import { osReason } from "../../cli/os_error.ts";
import { readRegular } from "../../cli/regular_file.ts";
import { CertificateNotices, type NoticeClock, warningOf } from "./certificate_notices.ts";
import { Fatal, messageOf } from "./terminal.ts";

/** Milliseconds between looks at the files. */
const lookInterval = 10_000;
/** Bytes of a file. */
const longest = 1 << 20;

/** The TLS certificate in its files, which are read again when they change. */
export class CertificateFiles implements Disposable {
  readonly #paths: { readonly cert: string; readonly key: string };
  readonly #logger: Logger;
  readonly #notices: CertificateNotices;
  readonly #clock: NoticeClock;
  #current: Certificate;
  /** What was in the files when they could not be used, which is told once. */
  #refused: Certificate | null = null;
  #problem: string | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #use: (certificate: Certificate) => void = () => {};

  private constructor(
    paths: { readonly cert: string; readonly key: string },
    current: Certificate,
    { logger, clock }: { readonly logger: Logger; readonly clock: NoticeClock },
  ) {
    this.#paths = paths;
    this.#current = current;
    this.#logger = logger;
    this.#clock = clock;
    this.#notices = new CertificateNotices(paths.cert, (text) => logger.warn(text), clock);
    this.#notices.look(current);
  }

  /** `null`: the settings have none. Throws `Fatal`. */
  static async open(
    { tlsCert, tlsKey }: Pick<ServerConfig, "tlsCert" | "tlsKey">,
    logger: Logger,
    clock: NoticeClock = { now: Date.now, steady: () => performance.now() },
  ): Promise<CertificateFiles | null> {
    const settings = await readCertificate({ tlsCert, tlsKey });
    if (settings === null) return null;
    return new CertificateFiles(settings.paths, settings.certificate, { logger, clock });
  }

  get current(): Certificate {
    return this.#current;
  }

  /** Why what was in the files at the last look is not used; `null`: it is. */
  get problem(): string | null {
    return this.#problem;
  }

  /** When the certificate that is used runs out, milliseconds since 1970. */
  get end(): number {
    return validityOf(this.#current).to;
  }

  /** What an operator is told of it. */
  get status(): CertificateStatus {
    const validity = validityOf(this.#current);
    return {
      validFrom: new Date(validity.from).toISOString(),
      validTo: new Date(validity.to).toISOString(),
      daysLeft: daysLeft(validity, this.#clock.now()),
      problem: this.#problem,
    };
  }

  /** From now on `use` is given every other certificate that is in the files. */
  follow(use: (certificate: Certificate) => void): void {
    this.#use = use;
    this.#timer = setInterval(() => void this.look(), lookInterval);
  }

  /**
   * Whether there is another certificate now. One that cannot be used, as its files are being written, changes nothing. Says
   * once a day when that which is used runs out.
   */
  async look(): Promise<boolean> {
    const isAnother = await this.#read();
    this.#notices.look(this.#current);
    return isAnother;
  }

  async #read(): Promise<boolean> {
    try {
      const found = await read(this.#paths);
      if (isSame(found, this.#refused)) return false;
      this.#problem = this.#refused = null;
      if (isSame(found, this.#current)) return false;
      try {
        checkCertificate(found);
      } catch (error) {
        this.#refused = found;
        throw error;
      }
      this.#use(found);
      this.#current = found;
      this.#logger.info("read the TLS certificate again");
      return true;
    } catch (error) {
      this.#problem = messageOf(error);
      this.#logger.error("Cannot read the TLS certificate again, the old one stays", error);
      return false;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** What the settings of TLS lead to. */
export interface ReadCertificate {
  readonly paths: { readonly cert: string; readonly key: string };
  readonly certificate: Certificate;
  /** What is wrong with it for others, or soon will be. */
  readonly warning: string | null;
}

/** The certificate in its files; `null`: the settings have none. Throws `Fatal` for one that cannot be used. */
export async function readCertificate(
  { tlsCert, tlsKey }: Pick<ServerConfig, "tlsCert" | "tlsKey">,
): Promise<ReadCertificate | null> {
  if (tlsCert === null && tlsKey === null) return null;
  if (tlsCert === null || tlsKey === null) {
    throw new Fatal("Cannot start TLS: tls_cert and tls_key of [TRANSPORT] are needed together");
  }
  const paths = { cert: tlsCert, key: tlsKey };
  const certificate = await read(paths);
  try {
    checkCertificate(certificate);
  } catch (error) {
    throw new Fatal(`${messageOf(error)} (${tlsCert}, ${tlsKey})`);
  }
  return { paths, certificate, warning: warningOf(certificate, tlsCert, Date.now()) };
}

function isSame(a: Certificate, b: Certificate | null): boolean {
  return a.cert === b?.cert && a.key === b.key;
}

async function read({ cert, key }: { readonly cert: string; readonly key: string }): Promise<Certificate> {
  return { cert: await readText(cert), key: await readText(key) };
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await Deno.stat(path);
    if (size > longest) throw new Error("it is too long for a certificate");
    return await readRegular(path);
  } catch (error) {
    throw new Fatal(`Cannot read ${path}: ${osReason(error)}`);
  }
}
