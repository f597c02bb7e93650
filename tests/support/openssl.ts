import { openOpenSsl } from "../../protocol/crypto/engine/openssl.ts";
import type { Lack } from "./requires.ts";

/** The engine of OpenSSL, opened before any test as it stays open; `null` where tests have to do without it. */
export const openSsl = openOpenSsl();

/** Why there is no {@linkcode openSsl}. */
export const openSslLack: Lack = openSsl === null
  ? "the library of OpenSSL 3 is not installed, or may not be opened"
  : null;
