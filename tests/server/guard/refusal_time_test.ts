import { testRefusalTimes } from "../../support/refusal_time_contract.ts";

testRefusalTimes();
