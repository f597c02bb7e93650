/**
 * Two agents that send messages to each other over a server all the time: `network_child.ts <server address>`.
 * Prints `received <number>` for each message that comes whole and in order, else what was wrong, and `down` when the
 * server cannot be reached any more. Runs until its input ends; then it sends no more, waits for the rest and prints
 * `complete`.
 */
// deno-lint-ignore-file no-console
import { connectAgents, TestAgent } from "../support/agent.ts";

const [server] = Deno.args;
const client = { keepAliveInterval: 300, keepAliveCount: 3, commandTimeout: 2_000 };
const retry = { first: 50, most: 300 };
await using a = await TestAgent.start(server!, { client, retry });
await using b = await TestAgent.start(server!, { client, retry });
await connectAgents(a, b);

let [isStopping, sent] = [false, 0];
let downs = 0;
const sending = (async () => {
  while (!isStopping) {
    await a.send("b", `${sent++}`);
    const seen = a.events.filter(({ type }) => type === "down").length;
    if (seen > downs) console.log("down");
    downs = seen;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
})();
const receiving = (async () => {
  for (let expected = 0; !isStopping || expected < sent; expected++) {
    const { message } = await patient(() => b.next("message"));
    const text = new TextDecoder().decode(message.body);
    const isWhole = text === `${expected}` && message.integrity.type === "OK";
    console.log(
      isWhole ? `received ${expected}` : `wrong: ${text} for ${expected}, ${message.integrity.type}`,
    );
  }
})();
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));
isStopping = true;
await sending;
await receiving;
const errors = [...a.events, ...b.events].filter(({ type }) => type === "error");
console.log(errors.length === 0 ? "complete" : `wrong: ${JSON.stringify(errors)}`);

/** Waits through faults that take longer than one event may. */
async function patient<T>(wait: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await wait();
    } catch {
      if (isStopping) throw new Error("what was sent last does not come");
    }
  }
}
