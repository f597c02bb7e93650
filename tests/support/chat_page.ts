import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { openPage, type TestPage } from "./browser.ts";
import type { WebChat } from "./web_chat.ts";

/** Opens the page in a context of its own, past its first form. */
export async function openChat(
  browser: Browser,
  chat: WebChat,
  { passphrase = "", url = chat.url, ...options }: BrowserContextOptions & {
    readonly passphrase?: string;
    /** Where the page is behind a proxy. */
    readonly url?: string;
  } = {},
): Promise<TestPage> {
  const opened = await openPage(browser, options);
  await opened.page.goto(url);
  await passphraseField(opened.page).fill(passphrase);
  await opened.page.getByRole("button", { name: "Start" }).click();
  await opened.page.getByRole("button", { name: "Invite" }).waitFor();
  return opened;
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
