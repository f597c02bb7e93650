import { assert, assertEquals } from "@std/assert";
import { chromiumLack, trusting, withBrowser } from "../support/browser.ts";
import { Forwarder, startNginx, temporaryCertificate } from "../support/tls_proxy.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { connectPages, hear, openChat, say } from "../support/chat_page.ts";
import { freePorts, WebChat } from "../support/web_chat.ts";

const test = requiring(chromiumLack, lackOf("nginx", "-v"), lackOf("openssl", "version"));

/** The configuration in the docs. */
async function documented(): Promise<string> {
  const docs = await Deno.readTextFile(new URL("../../docs/web-chat.md", import.meta.url));
  return /```nginx\n(.*?)```/s.exec(docs)![1]!;
}

/** What differs in a test; each of it must be in the configuration. */
function withPlaces(configuration: string, places: Readonly<Record<string, string>>): string {
  for (const [documented, here] of Object.entries(places)) {
    assert(configuration.includes(documented), documented);
    configuration = configuration.replaceAll(documented, here);
  }
  return configuration;
}

test("two people talk over https and wss through the nginx of the docs", async () => {
  await using tls = await temporaryCertificate();
  await withBrowser(async (browser) => {
    const socket = `${tls.folder}/socket`;
    await using proxy = new Forwarder(socket);
    const origin = `https://127.0.0.1:${proxy.port}`;
    const webSocketUrl = `wss://127.0.0.1:${proxy.port}/smp`;
    await using chat = await WebChat.start([...freePorts, "--ws-url", webSocketUrl]);
    const configuration = withPlaces(await documented(), {
      "listen 443 ssl": `listen unix:${socket} ssl`,
      "/etc/letsencrypt/live/chat.example.org/fullchain.pem": tls.certificate,
      "/etc/letsencrypt/live/chat.example.org/privkey.pem": tls.key,
      "127.0.0.1:8080": new URL(chat.url).host,
      "127.0.0.1:5280": `127.0.0.1:${chat.listeningPort}`,
    });
    await using _nginx = await startNginx(tls.folder, configuration);
    const options = { url: `${origin}/` };
    const alice = await openChat(browser, chat, options);
    const bob = await openChat(browser, chat, options);
    await connectPages(alice.page, bob.page);
    await say(alice.page, "through a proxy");
    await hear(bob.page, "through a proxy");
    for (const { problems, origins } of [alice, bob]) assertEquals([problems, [...origins]], [[], [origin]]);
  }, await trusting(tls.certificate));
});
