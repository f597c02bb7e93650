import type { ReceivingRoute, ReceivingStatus } from "../../../agent/mod.ts";
import { newId } from "../../../agent/core/connection.ts";
import { storedKeys } from "../../support/agent.ts";
import { identity } from "../../support/server.ts";

/** A receiving route with real keys. */
export function sampleReceiving(status: ReceivingStatus): ReceivingRoute {
  const [recipient, decryption, sender] = storedKeys;
  return {
    id: newId(),
    keys: {
      server: { host: "server", keyHash: identity.keyHash },
      recipientId: "cXVldWVB",
      senderId: "cXVldWVC",
      recipientKey: recipient!.privateKey,
      decryptionKey: decryption!.privateKey,
      senderKey: status === "new" ? null : sender!.publicKey,
      verificationKey: status === "active" ? sender!.publicKey : null,
    },
    status,
    lastServerId: "",
    lastHash: new Uint8Array(0),
    unacknowledged: [],
    suspended: false,
  };
}
