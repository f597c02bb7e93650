import { assertEquals } from "@std/assert";
import { newConnection, withReceiving } from "../../../agent/core/connection.ts";
import { Connections } from "../../../agent/core/connections.ts";
import { LoadedKeys } from "../../../agent/key_pool.ts";
import { encodeAgentMessage } from "../../../agent/kinds/mod.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { Receiver } from "../../../agent/runtime/receiver.ts";
import { SlowLane } from "../../../agent/runtime/slow_lane.ts";
import type { SmpClient } from "../../../client/mod.ts";
import {
  decodePublicKey,
  encryptBody,
  loadPrivateKey,
  makePublicKey,
  paddedBodyLength,
} from "../../../mod.ts";
import { storedKeys } from "../../support/agent.ts";
import { soon } from "../../support/wait.ts";
import { sampleReceiving } from "./samples.ts";

/** Fails a few times, then has too much to do. */
class BusyLane extends SlowLane {
  readonly isFull = Promise.withResolvers<void>();
  #failures = 0;

  override run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failures++ < 4) return Promise.reject(new Error("no memory"));
    const waiting = super.run(() => Promise.resolve()).then(() => super.run(work));
    this.isFull.resolve();
    return waiting;
  }
}

Deno.test("a message that waits for its verification when the agent is closed stays at its server", async () => {
  const [, decryption, sender] = storedKeys;
  const encryptionKey = decodePublicKey(decryption!.publicKey);
  const costly = makePublicKey(decodePublicKey(sender!.publicKey).modulus, 65539n);
  const body = await encryptBody(
    encodeAgentMessage({
      type: "MSG",
      body: new Uint8Array(0),
      id: 1,
      timestamp: new Date(0),
      previousHash: new Uint8Array(0),
    }),
    {
      encryptionKey,
      signingKey: await loadPrivateKey(sender!.privateKey, "sign"),
      paddedLength: paddedBodyLength(4096, encryptionKey.bits),
    },
  );
  const { keys, ...route } = sampleReceiving("active");
  const connections = new Connections();
  connections.set(withReceiving(
    newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true }),
    { ...route, keys: { ...keys, verificationKey: costly.der } },
  ));
  const slowLane = new BusyLane();
  const context = {
    connections,
    keys: new LoadedKeys(),
    slowLane,
    retry: { first: 1, most: 1 },
    failed() {},
  } as unknown as AgentContext;
  const happened: unknown[] = [];
  const interpreter = {
    do: (_: string, event: unknown) => Promise.resolve(happened.push(event)),
  } as unknown as Interpreter;
  const receiver = new Receiver(route.id, context, interpreter);
  const { recipientId } = keys;
  const message = {
    type: "MSG",
    recipientId,
    messageId: "bTE=",
    timestamp: new Date(0),
    body,
    sequence: 0,
  } as const;
  receiver.take({ message, client: {} as SmpClient });
  await soon(slowLane.isFull.promise);
  slowLane[Symbol.dispose]();
  await soon(receiver.close());
  assertEquals(happened, []);
});
