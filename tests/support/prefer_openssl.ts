/**
 * Has the tests of a process compute with the system's OpenSSL where they may, as the programs do, before any of them
 * begins: what is opened stays open. The engines are compared in tests/protocol. Private keys are used with it too, which
 * takes most of the time of agents else.
 *
 * @module
 */
import { preferOpenSsl } from "../../protocol/mod.ts";
import { quickenPrivateKeys } from "./private_keys.ts";

preferOpenSsl();
quickenPrivateKeys();
