import { Buffer } from "node:buffer";
import type { Browser, BrowserContextOptions, JSHandle, Locator, Page } from "playwright-core";
import testKeys from "../vectors/test_keys.json" with { type: "json" };
import { downloaded, openPage, type TestPage } from "./browser.ts";
import type { WebChat } from "./web_chat.ts";

/** Opens the page in a context of its own, past its first form. */
export async function openChat(
  browser: Browser,
  chat: WebChat,
  { passphrase = "", url = chat.url, makesKeys = false, quota, ...options }: BrowserContextOptions & {
    readonly passphrase?: string;
    /** Where the page is behind a proxy. */
    readonly url?: string;
    /** Makes its RSA keys itself and stretches passphrases in full, which takes most of the time of a page. */
    readonly makesKeys?: boolean;
    /** Bytes that Chromium has for the page, which it does not say. */
    readonly quota?: number;
  } = {},
): Promise<TestPage> {
  const opened = await openPage(browser, options);
  if (!makesKeys) await makeCheap(opened.page);
  if (quota !== undefined) {
    // Before it stores anything: it does not count again each time.
    const devTools = await opened.page.context().newCDPSession(opened.page);
    await devTools.send("Storage.overrideQuotaForOrigin", { origin: url, quotaSize: quota });
  }
  await opened.page.goto(url);
  await passphraseField(opened.page).fill(passphrase);
  await opened.page.getByRole("button", { name: "Start" }).click();
  await opened.page.getByRole("button", { name: "Invite" }).waitFor();
  return opened;
}

/** Gives the pages of a context RSA keys, and passphrases few rounds. */
export async function makeCheap(page: Page): Promise<void> {
  await page.context().addInitScript(giveKeys, testKeys.agents);
  await page.context().addInitScript(stretchLittle);
}

/** Runs in each page of a context, before all else: does a hundredth of the rounds of PBKDF2 that are asked for. */
function stretchLittle(): void {
  if (!isSecureContext) return;
  const { subtle } = crypto;
  const original = subtle.deriveBits.bind(subtle);
  const replacement = (algorithm: Pbkdf2Params, ...rest: [key: CryptoKey, length: number]) =>
    original(
      algorithm.name === "PBKDF2"
        ? { ...algorithm, iterations: Math.ceil(algorithm.iterations / 100) }
        : algorithm,
      ...rest,
    );
  Object.assign(subtle, { deriveBits: replacement });
}

/** Runs in each page of a context, before all else: makes RSA keys of 2048 bits from the given PKCS#8, in turn. */
function giveKeys(keys: readonly string[]): void {
  // The empty page that a browser begins with is in no secure context, which Firefox says of it.
  if (!isSecureContext) return;
  const { subtle } = crypto;
  let next = 0;
  const generate = async (
    { name }: RsaHashedKeyGenParams,
    _isExtractable: boolean,
    usages: readonly KeyUsage[],
  ): Promise<CryptoKeyPair> => {
    const bytes = Uint8Array.from(atob(keys[next++ % keys.length]!), (char) => char.charCodeAt(0));
    const algorithm = { name, hash: "SHA-256" };
    const ofPrivate = usages.filter((usage) => usage === "sign" || usage === "decrypt");
    const privateKey = await subtle.importKey("pkcs8", bytes, algorithm, true, ofPrivate);
    const { kty, n, e } = await subtle.exportKey("jwk", privateKey);
    const ofPublic = usages.filter((usage) => usage === "verify" || usage === "encrypt");
    const publicKey = await subtle.importKey("jwk", { kty: kty!, n: n!, e: e! }, algorithm, true, ofPublic);
    return { publicKey, privateKey };
  };
  const original = subtle.generateKey.bind(subtle) as (...args: unknown[]) => Promise<unknown>;
  const isRsa = (algorithm: { readonly modulusLength?: number }) => algorithm.modulusLength === 2048;
  const replacement = (...args: Parameters<typeof generate>) =>
    isRsa(args[0]) ? generate(...args) : original(...args);
  Object.assign(subtle, { generateKey: replacement });
}

/** The field of the page's first form. */
export function passphraseField(page: Page): Locator {
  return page.locator("#start").getByLabel("Passphrase");
}

/** Chooses something of the page's menu. */
export async function choose(page: Page, name: string): Promise<void> {
  const button = page.locator("#sidebar").getByRole("button", { name });
  if (!await button.isVisible()) await page.getByText("More", { exact: true }).click();
  await button.click();
}

/** Makes an invitation to a conversation and gives its link. */
export async function invite(page: Page, name: string): Promise<string> {
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByRole("textbox", { name: "Name of the conversation" }).fill(name);
  await page.getByRole("button", { name: "Make invitation" }).click();
  // The invitation of another conversation may be there before.
  await page.getByRole("heading", { name, exact: true }).waitFor();
  return await page.getByLabel("Link", { exact: true }).inputValue();
}

/** Connects two pages: the first one calls the conversation by `nameOfB`, the second one by `nameOfA`. */
export async function connectPages(a: Page, b: Page, [nameOfB, nameOfA] = ["Bob", "Alice"]): Promise<void> {
  const link = await invite(a, nameOfB!);
  await b.goto(link);
  // A page of the same address but for what is behind `#` is not loaded again.
  await b.getByRole("textbox", { name: "Name of the conversation" }).fill(nameOfA!);
  await b.getByRole("dialog").getByRole("button", { name: "Join" }).click();
  for (const page of [a, b]) await page.locator("#chat-state").getByText("connected, end-to-end").waitFor();
}

/** Sends a text in the open conversation. */
export async function say(page: Page, text: string): Promise<void> {
  const field = page.getByRole("textbox", { name: "Message" });
  await field.fill(text);
  await field.press("Enter");
}

/** How much the agent of a page has stored in a table. */
export function storedCount(page: Page, table: "connections" | "discarded_queues"): Promise<number> {
  return page.evaluate(async (table) => {
    const database = await new Promise<IDBDatabase>((resolve) => {
      const opening = indexedDB.open("smp-web-chat");
      opening.onsuccess = () => resolve(opening.result);
    });
    const counting = database.transaction(table).objectStore(table).count();
    const count = await new Promise<number>((resolve) => {
      counting.onsuccess = () => resolve(counting.result);
    });
    database.close();
    return count;
  }, table);
}

/** The texts in the open conversation, in order. */
export function textsIn(page: Page): Promise<string[]> {
  return page.locator("#log .text").allTextContents();
}

/** Waits for a message in the open conversation. */
export async function hear(page: Page, text: string): Promise<void> {
  await page.locator("#log .theirs .text").getByText(text, { exact: true }).waitFor();
}

/** Connects two pages and waits until both can send files, for which they need a session. */
export async function connectForFiles(a: Page, b: Page): Promise<void> {
  await connectPages(a, b);
  for (const [from, to] of [[a, b], [b, a]] as const) {
    await say(from, "hello");
    await hear(to, "hello");
    await from.locator("#log .mine .delivery").getByText("✓✓ delivered").waitFor();
  }
}

/** A file that is sent. */
export interface PageFile {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

/** Sends files in the open conversation, as the button does. */
export async function sendFiles(page: Page, ...files: readonly PageFile[]): Promise<void> {
  const data = await filesFor(page, files);
  await page.locator("#files").evaluate((input: HTMLInputElement, data) => {
    input.files = data.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, data);
  await data.dispose();
}

/** Files in a page, as it gets them from a person. Those of Playwright take a tenth of a second for each megabyte. */
export function filesFor(page: Page, files: readonly PageFile[]): Promise<JSHandle<DataTransfer>> {
  const given = files.map(({ name, mimeType, buffer }) => ({
    name,
    mimeType,
    base64: buffer.toString("base64"),
  }));
  return page.evaluateHandle((given) => {
    const data = new DataTransfer();
    for (const { name, mimeType, base64 } of given) {
      const text = atob(base64), bytes = new Uint8Array(text.length);
      for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
      data.items.add(new File([bytes], name, { type: mimeType }));
    }
    return data;
  }, given);
}

/** A file in the open conversation. */
export function fileIn(page: Page, name: string): Locator {
  return page.locator("#log li[data-file]").filter({ has: page.getByText(name, { exact: true }) });
}

/** Does something with a file in the open conversation. */
export async function doWith(page: Page, name: string, what: string): Promise<void> {
  await fileIn(page, name).getByRole("button", { name: `${what}: ${name}`, exact: true }).click();
}

/** Saves a file that has come; gives its bytes, and the name that the browser gives it. */
export async function saved(page: Page, name: string): Promise<{ bytes: Uint8Array; name: string }> {
  const file = await downloaded(page, () => fileIn(page, name).getByRole("link", { name: "Save" }).click());
  return { bytes: await Deno.readFile(file.path), name: file.name };
}

/** A picture of hills under the sun, PNG. */
export async function picture(page: Page, name = "hills.png"): Promise<PageFile> {
  const url = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext("2d")!;
    const sky = context.createLinearGradient(0, 0, 0, 360);
    sky.addColorStop(0, "#2b6fb3");
    sky.addColorStop(1, "#f6d9a8");
    context.fillStyle = sky;
    context.fillRect(0, 0, 640, 360);
    context.fillStyle = "#fff3c4";
    context.beginPath();
    context.arc(470, 110, 42, 0, 7);
    context.fill();
    for (
      const [colour, height, period] of [["#5d8aa8", 190, 97], ["#3f6f5f", 235, 71], [
        "#24483e",
        290,
        53,
      ]] as const
    ) {
      context.fillStyle = colour;
      context.beginPath();
      context.moveTo(0, 360);
      for (let x = 0; x <= 640; x += 4) {
        context.lineTo(x, height + 34 * Math.sin(x / period) + 14 * Math.sin(x / 23 + height));
      }
      context.lineTo(640, 360);
      context.fill();
    }
    return canvas.toDataURL("image/png");
  });
  return { name, mimeType: "image/png", buffer: Buffer.from(url.slice(url.indexOf(",") + 1), "base64") };
}
