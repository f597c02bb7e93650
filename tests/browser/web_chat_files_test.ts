import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { findInvitation } from "../../examples/web-chat/page/invitation.ts";
import { headLength } from "../../examples/web-chat/page/picture.ts";
import { formatAddress, parseQueueInfo } from "../../mod.ts";
import { connectWebSocket, equalBytes, textBytes } from "../../protocol/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { quotaLack, type TestPage, testsInChromium, withBrowser } from "../support/browser.ts";
import {
  connectForFiles,
  doWith,
  fileIn,
  filesFor,
  hear,
  invite,
  openChat,
  type PageFile,
  passphraseField,
  picture,
  saved,
  say,
  sendFiles,
  storedCount,
} from "../support/chat_page.ts";
import { requiring } from "../support/requires.ts";
import { sessions, someBytes } from "../support/streams.ts";
import { soon, until } from "../support/wait.ts";
import { WebChat } from "../support/web_chat.ts";

const test = testsInChromium();

function fileOf(name: string, length: number, mimeType = "application/octet-stream"): PageFile {
  return { name, mimeType, buffer: Buffer.from(someBytes(length)) };
}

/** Lets somebody drop or paste files onto the open conversation. */
async function bring(page: Page, how: "drop" | "paste", files: readonly PageFile[]): Promise<void> {
  const data = await filesFor(page, files);
  await page.evaluate(({ how, data }) => {
    const options = { bubbles: true, cancelable: true };
    const event = how === "drop"
      ? new DragEvent("drop", { ...options, dataTransfer: data })
      : new ClipboardEvent("paste", { ...options, clipboardData: data });
    document.querySelector("#messages")!.dispatchEvent(event);
    if (!event.defaultPrevented) throw new Error("nobody has taken the files");
  }, { how, data });
  await data.dispose();
}

/**
 * Reads no more than some parts of files, of a megabyte each, before the page is loaded again: what comes behind them
 * waits. The head of a file, by which pictures are known, may be read meanwhile.
 */
async function readOnly(page: Page, count: number): Promise<void> {
  await page.evaluate(([count, headLength]) => {
    const { arrayBuffer } = Blob.prototype;
    let left = count!;
    Blob.prototype.arrayBuffer = function () {
      const mayRead = this.size <= headLength! || left-- > 0;
      return mayRead ? arrayBuffer.call(this) : new Promise(() => {});
    };
  }, [count, headLength]);
}

/** How much of files a page has stored; `null`: nothing at all. */
function stored(page: Page): Promise<{ files: number; parts: number } | null> {
  return page.evaluate(async () => {
    const names = (await indexedDB.databases()).map(({ name }) => name);
    if (!names.includes("smp-web-chat-files")) return null;
    const database = await new Promise<IDBDatabase>((resolve) => {
      const opening = indexedDB.open("smp-web-chat-files");
      opening.onsuccess = () => resolve(opening.result);
    });
    const transaction = database.transaction(["files", "parts"]);
    const count = (name: string) =>
      new Promise<number>((resolve) => {
        const counting = transaction.objectStore(name).count();
        counting.onsuccess = () => resolve(counting.result);
      });
    const [files, parts] = await Promise.all([count("files"), count("parts")]);
    database.close();
    return { files: files!, parts: parts! };
  });
}

/** Two people who can send files. */
interface Pair {
  readonly alice: TestPage;
  readonly bob: TestPage;
}

test("two people send files: chosen, dropped and pasted, over pauses and reloads, refused and cancelled", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const pair = { alice: await openChat(browser, chat), bob: await openChat(browser, chat) };
    await connectForFiles(pair.alice.page, pair.bob.page);
    await sendEachWay(pair);
    await pauseAndReload(pair);
    await refuseAndCancel(pair);
    const { origin } = new URL(chat.url);
    for (const { problems, origins } of [pair.alice, pair.bob]) {
      assertEquals(problems, []);
      assert([...origins].every((asked) => asked === origin || asked === "null"), [...origins].join());
    }
  }));

/** A picture and files are chosen, dropped and pasted, and are there until they are removed. */
async function sendEachWay({ alice, bob }: Pair): Promise<void> {
  const hills = await picture(alice.page);
  await sendFiles(alice.page, hills);
  await fileIn(alice.page, hills.name).getByText("waiting to be accepted").waitFor();
  assertEquals(await fileIn(bob.page, hills.name).locator("img").count(), 0);
  await doWith(bob.page, hills.name, "Accept");
  await fileIn(alice.page, hills.name).getByText("✓✓ received").waitFor();
  for (const { page } of [alice, bob]) {
    const shown = fileIn(page, hills.name).getByRole("img", { name: hills.name });
    assertEquals(await shown.evaluate((img: HTMLImageElement) => [img.naturalWidth, img.naturalHeight]), [
      640,
      360,
    ]);
  }

  const files = [fileOf("some megabytes.bin", 1_500_000), fileOf("nothing.txt", 0, "text/plain")];
  await bring(bob.page, "drop", files);
  await bring(bob.page, "paste", [fileOf("image.png", 1000, "image/png")]);
  for (const { name, buffer } of files) {
    await doWith(alice.page, name, "Accept");
    const got = await saved(alice.page, name);
    assert(got.name === name && equalBytes(got.bytes, buffer), name);
    await fileIn(bob.page, name).getByText("✓✓ received").waitFor();
  }
  // It is called a picture, and is none.
  await doWith(alice.page, "image.png", "Accept");
  await fileIn(alice.page, "image.png").getByRole("link", { name: "Save" }).waitFor();
  assertEquals(await fileIn(alice.page, "image.png").locator("img").count(), 0);

  // Straight to a place that the person chooses, and nowhere else.
  await bob.page.evaluate(() =>
    Object.assign(globalThis, {
      showSaveFilePicker: async ({ suggestedName }: { readonly suggestedName: string }) =>
        await (await navigator.storage.getDirectory()).getFileHandle(`my ${suggestedName}`, {
          create: true,
        }),
    })
  );
  await sendFiles(alice.page, fileOf("elsewhere.bin", 1_200_000));
  await doWith(bob.page, "elsewhere.bin", "Save as…");
  await fileIn(bob.page, "elsewhere.bin").getByText("saved as my elsewhere.bin").waitFor();
  assertEquals(await fileIn(bob.page, "elsewhere.bin").getByRole("link").count(), 0);
  const size = await bob.page.evaluate(async () => {
    const folder = await navigator.storage.getDirectory();
    return (await (await folder.getFileHandle("my elsewhere.bin")).getFile()).size;
  });
  assertEquals(size, 1_200_000);
  await doWith(alice.page, "elsewhere.bin", "Remove");
  await until(async () => (await stored(alice.page))?.files === 4);

  // All of it is there again, in its place, until it is removed.
  await alice.page.reload();
  await alice.page.getByRole("button", { name: /^Bob/ }).click();
  await fileIn(alice.page, hills.name).getByRole("img").waitFor();
  assert(equalBytes((await saved(alice.page, files[0]!.name)).bytes, files[0]!.buffer));
  await alice.page.getByRole("button", { name: "Search", exact: true }).click();
  await alice.page.getByPlaceholder("Search in this conversation").fill("MEGAbytes");
  await alice.page.keyboard.press("Enter");
  await alice.page.locator("#log li.found").getByText(files[0]!.name).waitFor();
  const shown = await alice.page.locator("#log li .text").allTextContents();
  assertEquals(shown.map((text) => text.replace(/ · .*/, "")), [
    "hello",
    "hello",
    hills.name,
    ...files.map(({ name }) => name),
    "image.png",
  ]);
  for (const { name } of [hills, ...files, { name: "image.png" }]) await doWith(alice.page, name, "Remove");
  await doWith(bob.page, hills.name, "Remove");
  await until(async () => (await stored(alice.page))?.files === 0);
  assertEquals(await stored(alice.page), { files: 0, parts: 0 });
  await until(async () => (await stored(bob.page))?.parts === 0);
}

/** A file goes on after pauses on both sides and reloads of both pages. */
async function pauseAndReload({ alice: { page: alice }, bob: { page: bob } }: Pair): Promise<void> {
  const file = fileOf("large.bin", 9_000_000);
  await sendFiles(alice, file);
  await fileIn(bob, file.name).waitFor();
  await readOnly(alice, 4);
  await doWith(bob, file.name, "Accept");
  await until(async () => (await stored(bob))?.parts === 4);
  await doWith(alice, file.name, "Pause");
  await fileIn(alice, file.name).getByText("of 9.0 MB, paused").waitFor();
  await doWith(bob, file.name, "Pause");
  await fileIn(bob, file.name).getByText("of 9.0 MB, paused").waitFor();

  await bob.reload();
  await bob.getByRole("button", { name: /^Alice/ }).click();
  await fileIn(bob, file.name).getByText("4.4 MB of 9.0 MB, paused").waitFor();
  await alice.reload();
  await alice.getByRole("button", { name: /^Bob/ }).click();
  await fileIn(alice, file.name).getByText("of 9.0 MB, paused").waitFor();
  // The pause of either side alone holds it, and no other file.
  const small = ["first.bin", "second.bin"] as const;
  const passed = async (name: typeof small[number]) => {
    await sendFiles(alice, fileOf(name, 100_000));
    await doWith(bob, name, "Accept");
    await fileIn(alice, name).getByText("✓✓ received").waitFor();
  };
  await doWith(bob, file.name, "Resume");
  await passed(small[0]);
  assertEquals((await stored(bob))?.parts, 5);
  await doWith(bob, file.name, "Pause");
  await doWith(alice, file.name, "Resume");
  await passed(small[1]);
  assertEquals((await stored(bob))?.parts, 6);
  await doWith(bob, file.name, "Resume");
  await fileIn(alice, file.name).getByText("✓✓ received").waitFor();
  assert(equalBytes((await saved(bob, file.name)).bytes, file.buffer));
  // The sender needs its copy no more.
  await until(async () => (await stored(alice))?.parts === 0);
  for (const name of [file.name, ...small]) await doWith(bob, name, "Remove");
  await until(async () => (await stored(bob))?.parts === 0);
}

/** Files are refused and cancelled on either side, and leave nothing. */
async function refuseAndCancel({ alice: { page: alice }, bob: { page: bob } }: Pair): Promise<void> {
  const names = ["refused.bin", "withdrawn.bin", "by the receiver.bin", "by the sender.bin"] as const;
  const lengths = [10_000, 10_000, 3_000_000, 3_000_000] as const;
  await sendFiles(alice, ...names.map((name, i) => fileOf(name, lengths[i]!)));
  for (const name of names) await fileIn(bob, name).waitFor();
  await doWith(bob, names[0], "Refuse");
  await fileIn(alice, names[0]).getByText("the other side does not want it").waitFor();
  await doWith(alice, names[1], "Cancel");
  await fileIn(bob, names[1]).getByText("cancelled by the other side").waitFor();
  await readOnly(alice, 2);
  await doWith(bob, names[2], "Accept");
  await fileIn(alice, names[2]).getByText(/ MB of 3\.0 MB/).waitFor();
  await doWith(bob, names[2], "Cancel");
  await fileIn(alice, names[2]).getByText("cancelled by the other side").waitFor();
  await doWith(bob, names[3], "Accept");
  await doWith(alice, names[3], "Cancel");
  await fileIn(bob, names[3]).getByText("cancelled by the other side").waitFor();
  for (const page of [alice, bob]) await page.reload();
  for (const page of [alice, bob]) await until(async () => (await stored(page))?.parts === 0);

  await alice.getByRole("button", { name: /^Bob/ }).click();
  const many = Array.from({ length: 17 }, (_, at) => fileOf(`${at + 1}.txt`, 10));
  await sendFiles(alice, ...many);
  await alice.getByRole("alert").getByText("17.txt was not sent: too many files are on their way")
    .waitFor();
  await fileIn(alice, "16.txt").getByText("waiting to be accepted").waitFor();
  await bob.getByRole("button", { name: /^Alice.*16 new messages/ }).waitFor();
}

test("names, types and contents of a hostile sender do nothing", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page, problems } = await openChat(browser, chat);
    const link = await invite(page, "Mallory");
    const invitation = findInvitation(link)!;
    await using mallory = await TestAgent.start(formatAddress(parseQueueInfo(invitation).server), {
      ...sessions,
      client: { transport: (_server, signal) => connectWebSocket(chat.webSocketUrl, signal) },
    });
    await mallory.agent.join(invitation, { alias: "victim" });
    await mallory.next("session", ({ change }) => change === "active");
    await mallory.send("victim", "hello");
    await page.locator("#log .theirs .text").getByText("hello").waitFor();
    const script = "<script>document.title='executed'</script>";
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="document.title='executed'"></svg>`;
    const bomb = new Uint8Array([
      ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52],
      ...[0, 1, 0, 0, 0, 1, 0, 0, 8, 6, 0, 0, 0],
    ]);
    const files = [
      [
        "../../etc/\u202egnp.<img src=x onerror=alert(1)>",
        "image/png",
        textBytes(script),
        "gnp._img src=x onerror=alert(1)_",
      ],
      ["page.html", "text/html", textBytes(script), "page.html"],
      ["picture.svg", "image/svg+xml", textBytes(svg), "picture.svg"],
      ["..\\..\\CON.\x00txt", "image/png", textBytes(svg), "_CON.txt"],
      ["huge.png", "image/png", bomb, "huge.png"],
      [
        "half.jpg",
        "image/jpeg",
        new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xc0]),
        "half.jpg",
      ],
    ] as const;
    for (const [name, type, bytes, shown] of files) {
      const outgoing = await mallory.agent.sendFile("victim", new Blob([bytes]), { name, type });
      await doWith(page, shown, "Accept");
      await soon(outgoing.ended);
      const got = await saved(page, shown);
      assert(equalBytes(got.bytes, bytes));
      assertEquals(got.name, shown);
    }
    assertEquals(await page.locator("#log img, #log script, #log iframe, #log svg").count(), 0);

    // Something else than was said is not kept.
    const other = await mallory.agent.offerStream("victim", {
      name: "other.bin",
      sha256: new Uint8Array(32),
    });
    await doWith(page, "other.bin", "Accept");
    const writer = (await soon(other.accepted)).getWriter();
    writer.closed.catch(() => {});
    await writer.write(new Uint8Array(3_000_000));
    await writer.close().catch(() => {});
    await fileIn(page, "other.bin").getByText("what came is not what was offered").waitFor();
    assertEquals(await fileIn(page, "other.bin").getByRole("link").count(), 0);
    assertEquals((await stored(page))?.parts, files.length);
    assert((await page.title()).includes("SimpleXMQ chat"));
    assertEquals(problems, []);
  }));

test("with a passphrase nothing of files is stored, and what is lost with the page is told", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice } = await openChat(browser, chat, { passphrase: "correct horse" });
    const { page: bob } = await openChat(browser, chat);
    await connectForFiles(alice, bob);
    const hills = await picture(alice);
    await sendFiles(bob, hills);
    await doWith(alice, hills.name, "Accept");
    await fileIn(alice, hills.name).getByRole("img").waitFor();
    await sendFiles(alice, fileOf("lost.bin", 1000));
    await fileIn(bob, "lost.bin").waitFor();
    assertEquals(await stored(alice), null);
    alice.on("dialog", (dialog) => void dialog.accept());
    await alice.reload();
    await passphraseField(alice).fill("correct horse");
    await alice.keyboard.press("Enter");
    await fileIn(bob, "lost.bin").getByText("the other side does not have the file any more").waitFor();
    await alice.getByRole("button", { name: /^Bob/ }).click();
    await alice.locator("#log .text").getByText("hello").first().waitFor();
    assertEquals([await alice.locator("#log li[data-file]").count(), await stored(alice)], [0, null]);
  }));

/**
 * Takes all room that a page has left: of each size once, so that little is taken of a reserve that the page gives back
 * for something of its own meanwhile.
 */
async function takeAllRoom(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const database = await new Promise<IDBDatabase>((resolve) => {
      const opening = indexedDB.open("other", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("bytes", { autoIncrement: true });
      opening.onsuccess = () => resolve(opening.result);
    });
    for (let length = 4 * 1024 * 1024; length > 100; length >>= 1) {
      const bytes = new Uint8Array(length), most = 65_536;
      for (let at = 0; at < length; at += most) crypto.getRandomValues(bytes.subarray(at, at + most));
      await new Promise<void>((resolve) => {
        const transaction = database.transaction("bytes", "readwrite");
        transaction.objectStore("bytes").put(bytes);
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => resolve();
      });
    }
    database.close();
  });
}

requiring(quotaLack)(
  "messages go on in a page whose browser does not say that files have taken all room",
  () =>
    withBrowser(async (browser) => {
      await using chat = await WebChat.start();
      const { page: alice } = await openChat(browser, chat),
        // Beside what files leave there is room for what the browser counts twice for a while.
        { page: bob, problems } = await openChat(browser, chat, { quota: 24e6 });
      await connectForFiles(alice, bob);
      const exchange = async (text: string) => {
        await say(alice, text);
        await hear(bob, text);
        await say(bob, `${text}, too`);
        await hear(alice, `${text}, too`);
      };
      const small = fileOf("small.bin", 10_000), large = fileOf("large.bin", 16_000_000);
      await sendFiles(alice, small, large);
      for (const { name } of [small, large]) {
        await doWith(bob, name, "Accept");
        await fileIn(alice, name).getByText("✓✓ received").waitFor();
      }
      // The large one is in memory.
      assertEquals((await stored(bob))?.parts, 1);
      assert(equalBytes((await saved(bob, large.name)).bytes, large.buffer));
      await bob.locator("#room").waitFor({ state: "hidden" });
      const hasReserve = () =>
        bob.evaluate(async () =>
          (await indexedDB.databases()).some(({ name }) => name === "smp-web-chat-reserve")
        );
      // What was deleted is room again at any time.
      for (let number = 1; await hasReserve(); number++) {
        assert(number <= 10, "there was room without the reserve");
        await takeAllRoom(bob);
        await exchange(`${number}`);
      }
      await exchange("by the reserve");
      await bob.getByText("This browser has no more room for this page").waitFor();
      // The page takes its reserve again once, when a file is removed: there is room for it by then.
      await bob.evaluate(() =>
        new Promise<void>((resolve) => {
          indexedDB.deleteDatabase("other").onsuccess = () => resolve();
        })
      );
      await doWith(bob, small.name, "Remove");
      await bob.locator("#room").waitFor({ state: "hidden" });
      assertEquals(problems, []);
    }),
);

test("nothing of a conversation stays when its page is left before its server has answered the deletion", () =>
  withBrowser(async (browser) => {
    await using chat = await WebChat.start();
    const { page: alice } = await openChat(browser, chat);
    const { page: bob } = await openChat(browser, chat);
    await connectForFiles(alice, bob);
    await sendFiles(alice, fileOf("secret.bin", 1000));
    await doWith(bob, "secret.bin", "Accept");
    await fileIn(bob, "secret.bin").getByRole("link", { name: "Save" }).waitFor();
    assertEquals(await stored(bob), { files: 1, parts: 1 });
    await bob.evaluate(() => WebSocket.prototype.send = () => {});
    bob.once("dialog", (dialog) => void dialog.accept());
    await bob.getByRole("button", { name: "Delete", exact: true }).click();
    // Waiting for its server, which it tells of that.
    await until(async () => await storedCount(bob, "connections") === 0);
    await bob.reload();
    await passphraseField(bob).waitFor();
    await until(async () => await stored(bob) === null);
    assertEquals(await bob.evaluate(() => Object.keys(localStorage)), []);
  }));
