import { assertMatch } from "@std/assert";
import { cryptoEngine, preferOpenSsl } from "../../../protocol/mod.ts";
import { openSsl, openSslLack } from "../../support/openssl.ts";
import { testRefusalTimes } from "../../support/refusal_time_contract.ts";
import { requiring } from "../../support/requires.ts";

requiring(openSslLack)("refusals are timed on OpenSSL too", () => assertMatch(cryptoEngine(), /^OpenSSL/));

if (openSsl !== null) {
  preferOpenSsl();
  testRefusalTimes();
}
