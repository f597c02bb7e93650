import { assert, assertEquals } from "@std/assert";
import { keyedCrypto } from "../../../protocol/crypto/runtime.ts";
import { messageKeyOf, messageSecrets } from "../../../protocol/ratchet/kdf.ts";
import {
  asciiText,
  decodeHeader,
  headerLength,
  joinParts,
  ratchetDecrypt,
  textBytes,
} from "../../../protocol/mod.ts";
import { newSides } from "../../support/ratchet.ts";

const permissions = "none";

Deno.test(
  "Who can read a message of a session can make another one in its place",
  { permissions },
  async () => {
    const { joiner, initiator } = await newSides();
    await initiator.receive(await joiner.send("first"));
    const { receiving, transcript } = initiator.state;
    assert(receiving !== null);
    const message = await joiner.send("what the joiner says");
    const decoded = decodeHeader(message);
    assert(decoded.ok);
    // All of this the initiator has.
    const { key, nonce } = await messageSecrets(await messageKeyOf(receiving.chainKey), decoded.header.salt);
    const header = message.slice(0, headerLength);
    const parameters = { key, nonce, additional: joinParts([transcript, header]) };
    const forged = joinParts([
      header,
      await keyedCrypto().seal(textBytes("what it has not said"), parameters),
    ]);
    const decrypted = await ratchetDecrypt(initiator.state, forged, 0);
    assert(decrypted.ok);
    assertEquals(asciiText(decrypted.plaintext), "what it has not said");
    assertEquals(await initiator.receive(message), "what the joiner says");
  },
);
