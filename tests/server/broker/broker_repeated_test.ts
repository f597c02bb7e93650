import { assert, assertEquals } from "@std/assert";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import { TestBroker, transmissionTo } from "../../support/broker.ts";

const permissions = "none";

Deno.test(
  "a SEND that comes again is known wherever its message waits, without a look at all of them",
  { permissions },
  async () => {
    const test = new TestBroker();
    const [alice, bob] = [test.connect(), test.connect()];
    const queue = await alice.create();
    const bodies = Array.from({ length: 100 }, (_, i) => `${i}`);
    for (const body of bodies) await bob.ask(queue, `SEND ${body}`);
    await alice.ask(queue, "SUBN 100");
    await test.idle();
    bob.take();
    let looks = 0;
    test.around = (operation, run) => {
      if (operation === "first" || operation === "next") looks++;
      return run();
    };
    const again = async (body: string, messageId: string) => {
      const transmission = await transmissionTo(queue, `SEND ${body}`);
      const forwarded = { commandId: randomBytes(16), messageId, isRepeated: true };
      bob.waiting++;
      await test.router.submit(bob, transmission, forwarded);
      await test.idle();
      assertEquals(bob.take(), ["send q.s OK"]);
    };
    const { messagesAccepted } = test.metrics;
    for (const body of ["0", "1", "50", "99"]) await again(body, test.messageIds.get(body)!);
    assertEquals(test.metrics.messagesAccepted, messagesAccepted);
    assert(looks <= 8, `${looks} looks`);
    const messageId = encodeBase64(randomBytes(6));
    await again("new", messageId);
    await again("new", messageId);
    assertEquals(test.metrics.messagesAccepted, messagesAccepted + 1);
  },
);
