import { assertEquals } from "@std/assert";
import { newConnection, withReceiving } from "../../../agent/core/connection.ts";
import { step } from "../../../agent/core/step.ts";
import { decodePublicKey } from "../../../mod.ts";
import { storedKeys } from "../../support/agent.ts";
import { sampleReceiving } from "../runtime/samples.ts";

const context = { now: 1, announced: [], discardUntil: 0 };

function confirmationOf(key: Uint8Array<ArrayBuffer>) {
  const message = { type: "KEY", senderKey: decodePublicKey(key) } as const;
  return { serverId: "1", serverAt: 0, hash: new Uint8Array(32), message };
}

Deno.test("a queue may be secured already only when the same confirmation was interrupted", () => {
  const route = sampleReceiving("new");
  const empty = newConnection({ alias: "x", createdAt: 0, role: "initiator", reply: true });
  const received = confirmationOf(storedKeys[2]!.publicKey);
  const event = { route: route.id, received } as const;
  const connection = withReceiving(empty, route);
  assertEquals(
    step(connection, { type: "received", ...event }, context).commands,
    [{ type: "approve", ...event }],
  );
  const approved = step(connection, { type: "approved", ...event, isApproved: true }, context);
  assertEquals(approved.commands, [{ type: "secure", ...event, isRetry: false }]);
  const again = step(approved.connection, { type: "received", ...event }, context);
  assertEquals(again.commands, [{ type: "secure", ...event, isRetry: true }]);
  const other = confirmationOf(storedKeys[3]!.publicKey);
  const second = step(approved.connection, { type: "received", route: route.id, received: other }, context);
  assertEquals(second.events.map(({ type }) => type), ["security", "error"]);
  assertEquals(second.commands.map(({ type }) => type), ["acknowledge"]);
});
