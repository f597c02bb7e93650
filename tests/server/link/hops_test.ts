import { assertEquals } from "@std/assert";
import { FaultyStream } from "../../support/faulty_stream.ts";
import { type LinkedBroker, linkedBroker, ServedOwner, SessionSide } from "../../support/link.ts";
import { steadyPort } from "../../support/ports.ts";
import { until } from "../../support/wait.ts";

/** A session's process that uses an owner which itself uses another one behind it, and what can be made to fail. */
async function twoHops({ deadline = 60_000 } = {}) {
  const behind: FaultyStream[] = [];
  let isReachable = true;
  const linked: LinkedBroker = await linkedBroker({
    remote: {
      deadline,
      mostSilence: 60_000,
      close: (connection) => connection.close?.(),
      wrap: (stream) => {
        const faulty = new FaultyStream(stream);
        behind.push(faulty);
        faulty.losesWrites = !isReachable;
        return faulty;
      },
    },
  });
  const port = steadyPort();
  const served = new ServedOwner(port, linked.session.remote);
  const before: FaultyStream[] = [];
  const far = new SessionSide(linked.test, port, {
    mostSilence: 60_000,
    wrap: (stream) => {
      before.push(new FaultyStream(stream));
      return before.at(-1)!;
    },
  });
  await until(() => far.remote.isLinked);
  return {
    ...linked,
    served,
    far,
    betweenPort: port,
    /** The owner behind has what it got until now; what it says of it is lost, and it gets no more. */
    async cutOff() {
      isReachable = false;
      linked.session.cut();
      await until(() => !linked.session.remote.isLinked);
    },
    silence: () => behind.at(-1)!.hold(),
    /** What the owner between says is lost. */
    silenceBetween: () => before.at(-1)!.hold(),
    async [Symbol.asyncDispose]() {
      await far[Symbol.asyncDispose]();
      await served[Symbol.asyncDispose]();
      await linked[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a connection is closed where its session is when the owner cannot tell what has become of its command", async () => {
  await using hops = await twoHops({ deadline: 50 });
  const { test, far } = hops;
  const queue = await test.connect().create();
  const [bob, carol] = [far.connect(), far.connect()];
  hops.silence();
  await bob.submit(queue, "SEND a");
  await until(() => test.metrics.messagesAccepted === 1);
  await hops.cutOff();
  await carol.submit(queue, "SEND b");
  await until(() => far.closed.length === 1 && carol.waiting === 0);
  assertEquals(far.closed, [bob]);
  assertEquals([bob.take(), carol.take()], [[], ["send q.s ERR INTERNAL"]]);
  await until(() => hops.served.links.counts.connections === 1);
  assertEquals(far.remote.pending, 0);
  assertEquals(hops.served.links.counts.inWork, 0);
});

Deno.test("a command that was never written to the owner behind is answered INTERNAL", async () => {
  await using hops = await twoHops({ deadline: 50 });
  const queue = await hops.test.connect().create();
  await hops.served[Symbol.asyncDispose]();
  await until(() => !hops.far.remote.isLinked);
  await using nowhere = new SessionSide(hops.test, steadyPort(), { deadline: 50 });
  await using _between = new ServedOwner(hops.betweenPort, nowhere.remote);
  const bob = hops.far.connect();
  await bob.submit(queue, "SEND a");
  await until(() => bob.waiting === 0);
  assertEquals(bob.take(), ["send q.s ERR INTERNAL"]);
  assertEquals(hops.far.closed, []);
});

Deno.test("what an owner could not learn before its link was lost closes the connection on the next one", async () => {
  await using hops = await twoHops();
  const { test, far } = hops;
  const queue = await test.connect().create();
  const bob = far.connect();
  hops.silence();
  await bob.submit(queue, "SEND a");
  await until(() => test.metrics.messagesAccepted === 1);
  far.cut();
  await until(() => far.closed.length === 1);
  assertEquals(far.closed, [bob]);
  assertEquals(bob.take(), []);
  // It may have been executed: it is not given to the owner behind as if it was not.
  assertEquals(hops.session.remote.forwarded, 1);
});

Deno.test("that a connection was given up is told again when the link was lost meanwhile", async () => {
  await using hops = await twoHops({ deadline: 50 });
  const { test, far, served } = hops;
  const queue = await test.connect().create();
  const bob = far.connect();
  hops.silence();
  hops.silenceBetween();
  await bob.submit(queue, "SEND a");
  await until(() => test.metrics.messagesAccepted === 1);
  await hops.cutOff();
  await until(() => served.links.counts.inWork === 0);
  assertEquals(far.closed, []);
  far.cut();
  await until(() => far.closed.length === 1);
  assertEquals([far.closed, bob.take()], [[bob], []]);
});
