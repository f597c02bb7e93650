/** A worker that does what its argument says. */
const [mode] = Deno.args;
const say = async (text: string) => {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
};
const ready = { type: "ready", port: 1, webSocketPort: null, tlsPort: null, keyHash: "", engine: "none" };

switch (mode) {
  case "dies":
    Deno.exit(7);
    break;
  case "fatal":
    await say(JSON.stringify({ type: "fatal", message: "Cannot read the logs" }) + "\n");
    Deno.exit(1);
    break;
  case "garbage":
    await say(JSON.stringify(ready) + "\nhello\n");
    break;
  case "endless":
    await say(JSON.stringify(ready) + "\n");
    for (;;) await say("x".repeat(65_536));
  case "twice":
    await say(JSON.stringify(ready) + "\n" + JSON.stringify(ready) + "\n");
    break;
  case "deaf":
    await say(JSON.stringify(ready) + "\n");
    setInterval(() => {}, 1000);
    break;
  case "stubborn":
  case "absent once":
  case "good":
    await say(JSON.stringify(ready) + "\n");
    break;
}
if (mode === "deaf" || mode === "stubborn") await new Promise(() => setInterval(() => {}, 1000));
const text = new TextDecoder();
for await (const bytes of Deno.stdin.readable) {
  const lines = text.decode(bytes);
  if (lines.includes('"stop"')) await say('{"type":"stopped"}\n');
  if (lines.includes('"end"')) break;
}
