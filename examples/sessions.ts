/**
 * Two agents with a session, over two servers in the same process: their connection is upgraded, they compare its safety
 * code, and one of them leaves a server.
 *
 * `deno run --allow-net=127.0.0.1 examples/sessions.ts`
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Agent, type AgentEvent } from "@simplexmq/smp/agent";
import { SmpServer } from "@simplexmq/smp/server";

await using one = await SmpServer.start({ host: "127.0.0.1", port: 0 });
await using two = await SmpServer.start({ host: "127.0.0.1", port: 0 });
const servers = [one.address, two.address];
await using alice = await Agent.start({ servers, extensions: ["session1"], routes: 2 });
await using bob = await Agent.start({ servers, extensions: ["session1"] });
const [told, answers] = [alice.events(), bob.events()];

/** Reads events until there is one of a kind. */
async function next<Type extends AgentEvent["type"]>(
  events: AsyncGenerator<AgentEvent>,
  type: Type,
): Promise<Extract<AgentEvent, { readonly type: Type }>> {
  for (;;) {
    const { value, done } = await events.next();
    if (done) throw new Error("The agent was closed");
    if (value.type === type) return value as Extract<AgentEvent, { readonly type: Type }>;
  }
}

const { invitation } = await alice.create("bob");
await bob.join(invitation, { alias: "alice" });
const active = await next(told, "session");
console.log(`the session with ${active.connection} is ${active.change}`);

// Both see the same when nobody is between them: read it to each other, over the telephone say.
await next(answers, "session");
const code = alice.safetyCode("bob");
if (code !== null && code === bob.safetyCode("alice")) await alice.verify("bob", code);
console.log(`verified: ${alice.connection("bob").session?.verified}`);

const id = await alice.send("bob", new TextEncoder().encode("hello"));
const { message } = await next(answers, "message");
console.log(`bob received: ${new TextDecoder().decode(message.body)}`);
await bob.acknowledge("alice", message.id);
console.log(`delivered: ${(await next(told, "delivered")).id === id}`);

for await (const { left } of bob.leave(one.address)) {
  console.log(`queues of bob at the first server: ${left}`);
}
