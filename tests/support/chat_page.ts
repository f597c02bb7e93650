import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import testKeys from "../vectors/test_keys.json" with { type: "json" };
import { openPage, type TestPage } from "./browser.ts";
import type { WebChat } from "./web_chat.ts";

/** Opens the page in a context of its own, past its first form. */
export async function openChat(
  browser: Browser,
  chat: WebChat,
  { passphrase = "", url = chat.url, makesKeys = false, ...options }: BrowserContextOptions & {
    readonly passphrase?: string;
    /** Where the page is behind a proxy. */
    readonly url?: string;
    /** Makes its RSA keys itself, which takes most of the time of a page; otherwise it gets {@linkcode giveKeys}. */
    readonly makesKeys?: boolean;
  } = {},
): Promise<TestPage> {
  const opened = await openPage(browser, options);
  if (!makesKeys) await opened.page.context().addInitScript(giveKeys, testKeys.agents);
  await opened.page.goto(url);
  await passphraseField(opened.page).fill(passphrase);
  await opened.page.getByRole("button", { name: "Start" }).click();
  await opened.page.getByRole("button", { name: "Invite" }).waitFor();
  return opened;
}

/** Runs in each page of a context, before all else: makes RSA keys of 2048 bits from the given PKCS#8, in turn. */
function giveKeys(keys: readonly string[]): void {
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

/** The texts in the open conversation, in order. */
export function textsIn(page: Page): Promise<string[]> {
  return page.locator("#log .text").allTextContents();
}

/** Waits for a message in the open conversation. */
export async function hear(page: Page, text: string): Promise<void> {
  await page.locator("#log .theirs .text").getByText(text, { exact: true }).waitFor();
}
