// deno-lint-ignore-file no-console
import { openOpenSsl } from "../../protocol/crypto/engine/openssl.ts";

/** The engine of OpenSSL, opened before any test as it stays open; `null` where tests have to do without it. */
export const openSsl = openOpenSsl();

if (openSsl === null) console.log("SKIPPED: tests of OpenSSL, as there is none or it may not be opened");
