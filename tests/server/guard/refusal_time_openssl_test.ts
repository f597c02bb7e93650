import "../../support/openssl.ts";
import { preferOpenSsl } from "../../../protocol/mod.ts";
import { testRefusalTimes } from "../../support/refusal_time_contract.ts";

preferOpenSsl();
testRefusalTimes();
