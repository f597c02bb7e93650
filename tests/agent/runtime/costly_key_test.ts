import { assertEquals } from "@std/assert";
import { LoadedKeys } from "../../../agent/key_pool.ts";
import { encodeAgentMessage } from "../../../agent/kinds/mod.ts";
import { AgentError } from "../../../agent/mod.ts";
import { open } from "../../../agent/runtime/seal.ts";
import { SlowLane } from "../../../agent/runtime/slow_lane.ts";
import {
  decodePublicKey,
  encryptBody,
  loadPrivateKey,
  makePublicKey,
  paddedBodyLength,
} from "../../../mod.ts";
import { storedKeys } from "../../support/agent.ts";
import { sampleReceiving } from "./samples.ts";

/** Counts what it does, and does not rest. */
class CountingLane extends SlowLane {
  count = 0;

  override run<T>(work: () => Promise<T>): Promise<T> {
    this.count++;
    return work();
  }
}

Deno.test("signatures by keys that are costly to use, and no others, are verified in the slow lane", async () => {
  const [, decryption, sender] = storedKeys;
  const usual = decodePublicKey(sender!.publicKey);
  const costly = makePublicKey(usual.modulus, 65539n);
  const encryptionKey = decodePublicKey(decryption!.publicKey);
  const signingKey = await loadPrivateKey(sender!.privateKey, "sign");
  const head = { id: 0, timestamp: new Date(0), previousHash: new Uint8Array(0) };
  for (const verificationKey of [usual, costly]) {
    const hello = encodeAgentMessage({ type: "HELLO", verificationKey, noAck: false, ...head });
    const paddedLength = paddedBodyLength(4096, encryptionKey.bits);
    const body = await encryptBody(hello, { encryptionKey, signingKey, paddedLength });
    const isCostly = verificationKey === costly;
    // Whether it is known already or comes with the message.
    for (const status of ["active", "secured"] as const) {
      const { keys, ...route } = sampleReceiving(status);
      const own = status === "active" ? verificationKey.der : null;
      const slowLane = new CountingLane();
      const context = { keys: new LoadedKeys(), slowLane };
      const opened = await open(context, { ...route, keys: { ...keys, verificationKey: own } }, body);
      assertEquals([slowLane.count, opened instanceof AgentError], [isCostly ? 1 : 0, isCostly]);
    }
  }
});
