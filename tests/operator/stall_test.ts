import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type ClientCommand,
  connectTcp,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  signPss,
  textBytes,
} from "../../protocol/mod.ts";
import { RawClient } from "../support/raw_client.ts";
import { requiring } from "../support/requires.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { soon } from "../support/wait.ts";

const test = requiring(Deno.build.os === "windows" ? "there is no SIGSTOP" : null);

test("a SUB of a client that gave up while the server was stopped takes the queue from nobody", async () => {
  await using folder = await temporaryFolder();
  const ini = "[LIMITS]\nstall_timeout_seconds: 1\n";
  await using server = await ServerProcess.start({ folder: folder.path, ini, args: ["-y"] });
  const { publicKey, privateKey } = await generateKeyPair("sign", 1024);
  const connect = async () => RawClient.handshake(await connectTcp("127.0.0.1", server.port("TCP")));
  await using subscriber = await connect();
  await using former = await connect();
  const signed = async (queueId: string, command: ClientCommand) => {
    const text = encodeSigned(textBytes("1"), queueId, command);
    return encodeClientTransmission(await signPss(privateKey, text), text);
  };
  await subscriber.send(await signed("", { type: "NEW", recipientKey: publicKey }));
  const [, recipientId, senderId] = / IDS (\S+) (\S+) /.exec((await subscriber.receive())!)!;
  const sub = await signed(recipientId!, { type: "SUB" });
  server.signal("SIGSTOP");
  await former.send(sub);
  await former.channel.close();
  // The time itself is what matters; the server looks at it every second.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  server.signal("SIGCONT");
  assertEquals(await soon(subscriber.receive()), null);
  await using again = await connect();
  await again.send(sub);
  assertEquals(await again.receive(), ` 1 ${recipientId} OK `);
  await again.send(` 2 ${senderId} SEND 1 x  `);
  assertEquals(await again.receive(), ` 2 ${senderId} OK `);
  assertStringIncludes((await again.receive())!, " MSG ");
});
