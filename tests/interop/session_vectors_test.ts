import { assertEquals } from "@std/assert";
import { ratchetVectors } from "../peers/ratchet_vectors.mjs";
import { independentMlKem, installMlKem } from "../support/independent_ml_kem.ts";
import type { PeerLine } from "../support/node_peer.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { SessionPeer } from "../support/session_peer.ts";
import vectors from "../vectors/ratchet.json" with { type: "json" };

Deno.test("the vectors of sessions are what the independent peer makes", async () => {
  const text = await Deno.readTextFile(new URL("../vectors/ratchet.json", import.meta.url));
  assertEquals(ratchetVectors(independentMlKem) === text, true);
});

Deno.test("an independent peer in Node and one in Deno upgrade, talk, and agree on every byte", async () => {
  await using folder = await temporaryFolder();
  await using joiner = SessionPeer.inNode(await installMlKem(folder.path));
  await using initiator = SessionPeer.inDeno();
  const [joinerRoute, initiatorRoute] = vectors.routes.right.map(({ route }) => route);
  const { upg: joinerUpg } = await joiner.ask("upg", { role: "joiner", route: joinerRoute });
  const { upg: initiatorUpg } = await initiator.ask("upg", {
    role: "initiator",
    route: initiatorRoute,
    joinerUpg,
  });
  const upgrade = { texts: vectors.upgrade.texts, joinerUpg, initiatorUpg };
  assertEquals(await joiner.ask("begin", upgrade), await initiator.ask("begin", upgrade));

  const plaintext = btoa("hello");
  assertEquals(await initiator.ask("encrypt", { plaintext }), { refused: "early" });
  const talk = async (from: SessionPeer, to: SessionPeer, route: PeerLine) => {
    const { message } = await from.ask("encrypt", { plaintext });
    const { bodies } = await from.ask("seal", { route, message });
    let got: PeerLine = {};
    for (const body of bodies as readonly string[]) got = await to.ask("open", { route, body, now: 0 });
    assertEquals(got, { message, dropped: [] });
    assertEquals(await to.ask("decrypt", { message, now: 0 }), { plaintext, skipped: 0 });
  };
  for (let turn = 0; turn < 3; turn++) {
    await talk(joiner, initiator, initiatorRoute!);
    await talk(joiner, initiator, initiatorRoute!);
    await talk(initiator, joiner, joinerRoute!);
  }

  const frames = vectors.frames.right.map(({ frame }) => frame);
  const encoded = await joiner.ask("encodeFrames", { frames });
  assertEquals(encoded, { plaintext: vectors.frames.several });
  assertEquals(await initiator.ask("parseFrames", encoded), { frames });
});
