import type { Mutation } from "./mutation.ts";

const rekey = "protocol/transport/rekey.ts";
const blocks = "protocol/transport/block_channel.ts";
const transmission = "protocol/transmission.ts";
const rekeyTests = ["tests/protocol/rekey_test.ts"];
const transmissionTests = ["tests/protocol/transmission_test.ts"];

/** Mutations of the protocol. */
export const protocolMutations: readonly Mutation[] = [
  {
    name: "rekey-unbound",
    what: "the keys of REKEY do not depend on the session before",
    file: rekey,
    from: "sha256(joinParts(bound))",
    to: "sha256(joinParts(bound.slice(1)))",
    tests: rekeyTests,
  },
  {
    name: "rekey-secrets-swapped",
    what: "both ends of this code agree, and no other implementation with them",
    file: rekey,
    from: "joinParts([kemSecret, shared])",
    to: "joinParts([shared, kemSecret])",
    tests: rekeyTests,
  },
  {
    name: "rekey-one-secret",
    what: "the keys of REKEY are as strong as X25519 alone",
    file: rekey,
    from: "joinParts([kemSecret, shared])",
    to: "joinParts([new Uint8Array(32), shared])",
    tests: rekeyTests,
  },
  {
    name: "rekey-secrets-kept",
    what: "secrets stay in memory after REKEY",
    file: rekey,
    from: "for (const used of [kemSecret, shared, secret]) used.fill(0);",
    to: "",
    tests: rekeyTests,
  },
  {
    name: "rekey-opener-kept",
    what: "what opens a server's answer stays in memory",
    file: rekey,
    from: "kem.decapsulationKey.fill(0);",
    to: "",
    tests: rekeyTests,
  },
  {
    name: "binding-without-server",
    what: "an impostor can pass a session on to the real server",
    file: "protocol/transport/session_binding.ts",
    from: '"smp-session-binding", serverKey, sndKey',
    to: '"smp-session-binding", sndKey',
    tests: ["tests/protocol/session_binding_test.ts"],
  },
  {
    name: "rekey-old-binding",
    what: "OPEN is bound to the keys before REKEY",
    file: blocks,
    from: "    await this.#bind(keys);\n    wipeKeys(keys);",
    to: "    wipeKeys(keys);",
    tests: rekeyTests,
  },
  {
    name: "rekey-one-direction",
    what: "what comes is still decrypted with the old keys",
    file: blocks,
    from: "    this.#wipe();\n    this.#snd = snd;\n    this.#rcv = rcv;",
    to: "    this.#snd = snd;",
    tests: rekeyTests,
  },
  {
    name: "rekey-keys-kept",
    what: "the new keys stay where they were given",
    file: blocks,
    from: "    wipeKeys(keys);\n    this.#wipe();",
    to: "    this.#wipe();",
    tests: rekeyTests,
  },
  {
    name: "rekey-reopens",
    what: "a channel that was closed meanwhile gets keys",
    file: blocks,
    from: "    if (this.#isClosed) this.#wipe();",
    to: "",
    tests: rekeyTests,
  },
  {
    name: "extension-not-asked",
    what: "commands of extensions that are off are taken",
    file: transmission,
    from: "extension !== null && !has(extension)",
    to: "extension !== null && false",
    tests: transmissionTests,
  },
  {
    name: "open-unsigned",
    what: "an opened queue is opened again without a signature",
    file: transmission,
    from: 'case "OPEN":\n      return signed && hasQueue ?',
    to: 'case "OPEN":\n      return hasQueue && (signed || isOpened(queueId)) ?',
    tests: transmissionTests,
  },
  {
    name: "window-unbounded",
    what: "a window may have 999 messages",
    file: "protocol/command.ts",
    from: "number >= 1 && number <= most",
    to: "number >= 1",
    tests: ["tests/protocol/command_test.ts"],
  },
];
