import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { openPage, type TestPage } from "./browser.ts";
import { ServerProcess, temporaryFolder } from "./server_process.ts";

const root = new URL("../../", import.meta.url);

/** The two programs of `deno task web-chat`, with another folder. */
async function taskCommands(folder: string): Promise<string[][]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const text: string = tasks["web-chat"].command.replaceAll("data/web-chat", folder);
  return text.split(" && ").map((command) => [Deno.execPath(), ...command.split(" ").slice(1)]);
}

/** The chat as its task starts it, in processes of its own. */
export class WebChat implements AsyncDisposable {
  readonly #folder: Awaited<ReturnType<typeof temporaryFolder>>;
  readonly #command: readonly string[];
  #server: ServerProcess;

  private constructor(
    folder: Awaited<ReturnType<typeof temporaryFolder>>,
    command: readonly string[],
    server: ServerProcess,
  ) {
    this.#folder = folder;
    this.#command = command;
    this.#server = server;
  }

  /** Makes the page's program and starts the server on free ports. */
  static async start(): Promise<WebChat> {
    const folder = await temporaryFolder();
    const [bundle, serve] = await taskCommands(folder.path);
    const { success, stderr } = await new Deno.Command(bundle![0]!, { args: bundle!.slice(1), cwd: root })
      .output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const ports = ["--port", "0", "--ws-port", "0"];
    return new WebChat(folder, serve!, await spawn([...serve!, "--dir", folder.path, ...ports]));
  }

  /** Where the page is. */
  get url(): string {
    return this.#printed(/^open (\S+) /m);
  }

  /** Where the page's WebSockets go to. */
  get webSocketUrl(): string {
    return this.#printed(/^WebSockets: (\S+)$/m);
  }

  /** The SMP server's address for programs: host, TCP port, key hash. */
  get smp(): { readonly port: number; readonly keyHash: string } {
    return {
      port: Number(this.#printed(/^SMP port: (\d+)$/m)),
      keyHash: this.#printed(/^SMP server: [^#]*#(\S+)$/m),
    };
  }

  /** Kills the server; the function that it gives starts it again on the same ports. */
  async kill(): Promise<() => Promise<void>> {
    const ports = [["--port", this.url], ["--ws-port", this.webSocketUrl]].flatMap(([option, url]) => [
      option!,
      new URL(url!).port,
    ]);
    await this.#server.kill("SIGKILL");
    return async () => {
      this.#server = await spawn([...this.#command, "--dir", this.#folder.path, ...ports]);
    };
  }

  /** Stops the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  #printed(pattern: RegExp): string {
    return pattern.exec(this.#server.printed.join("\n"))![1]!;
  }
}

function spawn(command: readonly string[]): Promise<ServerProcess> {
  return ServerProcess.spawned({ command, until: "open " });
}

/** Opens the page in a context of its own, past its first form. */
export async function openChat(
  browser: Browser,
  chat: WebChat,
  { passphrase = "", ...options }: BrowserContextOptions & { readonly passphrase?: string } = {},
): Promise<TestPage> {
  const opened = await openPage(browser, options);
  await opened.page.goto(chat.url);
  await opened.page.getByLabel("Passphrase").fill(passphrase);
  await opened.page.getByRole("button", { name: "Start" }).click();
  await opened.page.getByRole("button", { name: "Invite" }).waitFor();
  return opened;
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
