import { assertMatch } from "@std/assert";
import { cryptoEngine } from "../../../protocol/mod.ts";
import { testRefusalTimes } from "../../support/refusal_time_contract.ts";

Deno.test("refusals are timed without OpenSSL", () => assertMatch(cryptoEngine(), /^node:crypto/));

testRefusalTimes();
