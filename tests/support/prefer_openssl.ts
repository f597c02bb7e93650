/**
 * Has the tests of a process compute with the system's OpenSSL where they may, as the programs do, before any of them
 * begins: what is opened stays open. The engines are compared in tests/protocol.
 *
 * @module
 */
import { preferOpenSsl } from "../../protocol/mod.ts";

preferOpenSsl();
