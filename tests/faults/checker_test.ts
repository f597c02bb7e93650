import { assertEquals } from "@std/assert";
import { byQueue, check } from "./checker.ts";
import { missingEnds } from "./ends.ts";
import { gapsOf } from "./gaps.ts";
import { History, type Outcome, type Subject } from "./history.ts";

const queue = "q";

/** Something that clients have seen, of one queue, each step after the one before. */
class Story {
  readonly history = new History();

  begin(command: Subject["command"], more: Partial<Subject> = {}) {
    const call = this.history.begin({ command, queue, connection: 1, ...more });
    return (outcome: Outcome = "OK") => (this.history.end(call, outcome), this);
  }

  done(command: Subject["command"], more: Partial<Subject> = {}, outcome: Outcome = "OK"): this {
    this.begin(command, more)(outcome);
    return this;
  }

  sent(text: string, outcome: Outcome = "OK", connection = 1): this {
    return this.done("SEND", { text, connection }, outcome);
  }

  received(text: string, connection = 2, messageId = `id of ${text}`): this {
    this.history.note({ type: "MSG", queue, connection, text, messageId });
    return this;
  }

  acknowledged(text: string, connection = 2, outcome: Outcome = "OK"): this {
    return this.done("ACK", { connection, messageIds: [`id of ${text}`] }, outcome);
  }

  ended(connection: number): this {
    this.history.note({ type: "END", queue, connection });
    return this;
  }
}

/** A queue whose subscriber is connection 2. */
function begun(): Story {
  return new Story().done("NEW", { connection: 2 }).done("KEY", { connection: 2 }).done("SUB", {
    connection: 2,
  });
}

function problemsOf({ history }: Story, forgetsSuspended = false): readonly string[] {
  return check(history, { forgetsSuspended }).problems;
}

Deno.test("a history in which all is well has no problem", () => {
  const story = begun().sent("1").received("1").acknowledged("1").sent("2", "unknown", 3).sent(
    "3",
    "not sent",
    3,
  )
    .sent("4", "ERR QUOTA").sent("5").received("5");
  assertEquals(check(story.history, { forgetsSuspended: false }), {
    problems: [],
    accepted: 2,
    lost: 0,
    acknowledged: 1,
    undone: 0,
    redelivered: 0,
    unknown: 1,
    internal: 0,
    lateEnds: 0,
  });
});

Deno.test("a message that was answered OK and never came is lost", () => {
  const { history } = begun().sent("1").sent("2").received("1");
  const { lost, problems } = check(history, { forgetsSuspended: false });
  assertEquals([lost, problems], [1, ["q: 2 was answered OK and is lost"]]);
});

Deno.test("a message whose SEND was refused or never written must not come", () => {
  const story = begun().sent("1", "ERR INTERNAL").sent("2", "not sent").received("1").acknowledged("1")
    .received("2");
  assertEquals(problemsOf(story), [
    "q: 1 was received, and its SEND had the outcome ERR INTERNAL",
    "q: 2 was received, and its SEND had the outcome not sent",
  ]);
});

Deno.test("a SEND must not be executed twice, and nothing of another queue comes", () => {
  const twice = begun().sent("1", "unknown").received("1").acknowledged("1").received("1", 2, "another");
  assertEquals(problemsOf(twice), ["q: 1 was sent once and is there twice"]);
  assertEquals(problemsOf(begun().received("1")), ["q: 1 was received and never sent to it"]);
});

Deno.test("messages come in the order in which they were sent", () => {
  const answered = begun().sent("1").sent("2", "OK", 3).received("2").acknowledged("2").received("1");
  const wrong = ["q: 1 came after what was sent later"];
  // For the first time and within the subscription.
  assertEquals(problemsOf(answered), [...wrong, ...wrong]);
  const pipelined = begun();
  const [first, second] = ["1", "2"].map((text) => pipelined.begin("SEND", { text }));
  second!(), first!();
  assertEquals(problemsOf(pipelined.received("2").acknowledged("2").received("1")), [...wrong, ...wrong]);
});

Deno.test("SENDs of two connections that overlap may come in any order", () => {
  const story = begun();
  const [first, second] = [1, 3].map((connection) =>
    story.begin("SEND", { text: `${connection}`, connection })
  );
  first!(), second!();
  assertEquals(problemsOf(story.received("3").acknowledged("3").received("1")), []);
});

Deno.test("what a connection sent without an answer may come after what the next one sent", () => {
  const story = begun().sent("1", "unknown").sent("2", "OK", 3);
  assertEquals(problemsOf(story.received("2").acknowledged("2").received("1")), []);
});

Deno.test("a message comes again to another subscription, and not to the same one", () => {
  const story = begun().sent("1").received("1");
  assertEquals(problemsOf(story.done("SUB", { connection: 3 }).received("1", 3)), []);
  assertEquals(check(story.history, { forgetsSuspended: false }).redelivered, 1);
  const wrong = begun().sent("1").received("1").acknowledged("1", 2, "unknown").received("1");
  assertEquals(problemsOf(wrong), ["q: 1 came twice to one subscription"]);
});

Deno.test("a message that comes again after its ACK was answered is counted", () => {
  const story = begun().sent("1").received("1").acknowledged("1").done("SUB", { connection: 3 }).received(
    "1",
    3,
  );
  const { undone, problems } = check(story.history, { forgetsSuspended: false });
  assertEquals([undone, problems], [1, []]);
  const before = begun().sent("1").received("1").done("SUB", { connection: 3 }).received("1", 3).acknowledged(
    "1",
    3,
  );
  assertEquals(check(before.history, { forgetsSuspended: false }).undone, 0);
});

Deno.test("no more messages come than the window takes", () => {
  const sent = () => begun().sent("1").sent("2").sent("3");
  const wrong = sent().received("1").received("2").acknowledged("1").acknowledged("2").received("3");
  assertEquals(problemsOf(wrong), ["q: 2 came although the window was full"]);
  const wide = sent().done("SUB", { connection: 3, window: 2 }).received("1", 3).received("2", 3).received(
    "3",
    3,
  );
  assertEquals(problemsOf(wide), ["q: 3 came although the window was full"]);
});

Deno.test("END comes when another connection has subscribed, and only then", () => {
  assertEquals(problemsOf(begun().done("SUB", { connection: 3 }).ended(2)), []);
  assertEquals(problemsOf(begun().ended(2)), ["q: END came, and nobody else had subscribed"]);
  assertEquals(problemsOf(begun().done("SUB", { connection: 2 }).ended(2)), [
    "q: END came, and nobody else had subscribed",
  ]);
  const before = begun().done("SUB", { connection: 3 }).done("SUB", { connection: 2 }).ended(2);
  assertEquals(problemsOf(before), ["q: END came, and nobody else had subscribed"]);
});

Deno.test("an END by a subscription of a connection that is gone is counted", () => {
  const story = begun().done("SUB", { connection: 3 }, "unknown").done("SUB", { connection: 4 }).ended(4);
  const { lateEnds, problems } = check(story.history, { forgetsSuspended: false });
  assertEquals([lateEnds, problems], [1, []]);
});

Deno.test("a former subscriber that gets no END is found", () => {
  const missing = ({ history }: Story, closed: readonly number[] = []) =>
    byQueue(history).flatMap((queue) => missingEnds(queue, new Set(closed)));
  const story = begun().done("SUB", { connection: 3 });
  assertEquals(missing(story), ["q: another connection has subscribed, and the former one got no END"]);
  assertEquals(missing(story, [2]), []);
  assertEquals(missing(story.ended(2)), []);
  assertEquals(missing(story.done("SUB", { connection: 2 })), [
    "q: another connection has subscribed, and the former one got no END",
  ]);
});

Deno.test("a queue that was made stays", () => {
  assertEquals(problemsOf(begun().sent("1", "ERR AUTH").done("SUB", {}, "ERR AUTH")), [
    "q: SEND 1 was answered ERR AUTH",
    "q: SUB was answered ERR AUTH",
  ]);
});

Deno.test("a queue that was secured, suspended or deleted stays so", () => {
  assertEquals(problemsOf(begun().done("SEND", { text: "1", isUnsigned: true }).received("1")), [
    "q: SEND 1 needed no signature after KEY was answered",
  ]);
  assertEquals(problemsOf(begun().done("OFF").sent("1").received("1")), [
    "q: SEND 1 was answered OK after OFF was",
  ]);
  assertEquals(problemsOf(begun().done("DEL").done("SUB")), ["q: SUB was answered OK after DEL was"]);
  const refused = begun().sent("1").done("OFF").sent("2", "ERR AUTH").received("1").done("DEL").sent(
    "3",
    "ERR AUTH",
  )
    .done("SUB", {}, "ERR AUTH").done("SEND", { text: "4", isUnsigned: true }, "ERR AUTH");
  assertEquals(problemsOf(refused), []);
});

Deno.test("a queue that was suspended is gone only where it may be", () => {
  const story = begun().sent("1").done("OFF").done("SUB", { connection: 3 }, "ERR AUTH");
  assertEquals(problemsOf(story, true), []);
  assertEquals(problemsOf(story), ["q: 1 was answered OK and is lost", "q: SUB was answered ERR AUTH"]);
});

Deno.test("NO_MSG is an answer only when another connection has subscribed", () => {
  const story = begun().sent("1").received("1").acknowledged("1", 2, "ERR NO_MSG");
  assertEquals(problemsOf(story), ["q: ACK was answered ERR NO_MSG"]);
  const taken = begun().sent("1").received("1").done("SUB", { connection: 3 }).acknowledged(
    "1",
    2,
    "ERR NO_MSG",
  );
  assertEquals(problemsOf(taken), []);
});

Deno.test("two queues with the same ID are found, and what clients themselves have found wrong is told", () => {
  const { history } = begun();
  history.queues.push({ name: "q", recipientId: "A", senderId: "B" }, {
    name: "r",
    recipientId: "C",
    senderId: "A",
  });
  history.problems.push("what clients have found");
  assertEquals(check(history, { forgetsSuspended: false }).problems, [
    "what clients have found",
    "r: NEW was answered with an ID that another queue has",
  ]);
});

Deno.test("gaps are told by what a fault has hit, and by who has connected anew", () => {
  const call = (queue: string, endedAt: number, connection = 1) => {
    return { command: "SEND", queue, connection, outcome: "OK", began: 0, ended: 0, endedAt } as const;
  };
  const calls = [
    ...[call("a", 0), call("a", 90), call("a", 390), call("a", 400), call("a", 1_050)],
    ...[call("b", 95), call("b", 295), call("b", 300)],
    ...[call("c", 0), call("c", 99), call("c", 699, 2)],
  ];
  const queues = new Map(["a", "b", "c"].map((name) => [name, name]));
  const fault = { name: "", what: "", recovery: 0, hits: (id: string) => id === "a" };
  const faults = [{ ...fault, at: 100 }, { ...fault, at: 1_000 }];
  assertEquals(gapsOf(faults, { calls, queues }), [
    { reconnected: 600, ownerHit: 300, others: 200 },
    { reconnected: 0, ownerHit: 650, others: 0 },
  ]);
});
