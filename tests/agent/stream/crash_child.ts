/**
 * An agent that is killed in the middle of a file: `crash_child.ts send <database> <server> <file>` offers the file unless
 * it has, `receive` takes it. Prints how far it is, and at the end `done`.
 */
// deno-lint-ignore-file no-console
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import type { OutgoingStream, StreamOffer } from "../../../agent/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { nextOffer, sessions } from "../../support/streams.ts";

const [role, database, server, file] = Deno.args as [string, string, string, string];
const store = await SqliteStore.open(database);
await using agent = await TestAgent.start(server, { ...sessions, store });
await agent.agent.subscribeAll();
const [known] = agent.agent.streams();
if (role === "send") {
  const stream = known ?? await agent.agent.sendFile("b", file);
  report(stream);
  await stream.ended;
} else {
  const offer = known?.direction === "receiving" ? known : await nextOffer(agent);
  report(offer);
  await agent.agent.receiveFile(offer, file);
}
console.log("done");
// The other side is told, too.
await new Promise((resolve) => setTimeout(resolve, 1_000_000));

function report(stream: OutgoingStream | StreamOffer): void {
  const timer = setInterval(() => console.log(`${stream.progress.bytes}`), 5);
  const end = () => clearInterval(timer);
  stream.ended.then(end, end);
}
