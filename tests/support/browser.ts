import { createHash, X509Certificate } from "node:crypto";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { type Downloaded, launchFirefox, nextDownload } from "./firefox.ts";
import { type Lack, requiring } from "./requires.ts";
import { patience } from "./wait.ts";

/** Where a Chromium may be. */
const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** A page of a headless browser, with everything that went wrong in it. */
export interface TestPage {
  readonly page: Page;
  /** Errors of the page and of its console, and requests that failed. */
  readonly problems: string[];
  /** Origins that were asked for anything. */
  readonly origins: Set<string>;
}

const executablePath = places.find(isFile);

/**
 * What Chromium has for who types into its window, which takes most of the time of a page and is seen by nobody, and a
 * process that it starts with each page for the next one.
 */
const unseen = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess"];
/** What Playwright turns off, which another list of features replaces. */
const offAnyway = [
  "AimEnabled",
  "AvoidCorsURLLoaderRestartOnRedirect",
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "DestroyProfileOnBrowserClose",
  "HttpsFirstBalancedModeAutoEnable",
  "HttpsUpgrades",
  "LensOverlay",
  "MediaRouter",
  "NetworkTimeServiceQuerying",
  "OptimizationHints",
  "PaintHolding",
  "PreconnectToSearch",
  "ThirdPartyStoragePartitioning",
];

/** Why tests have to do without a browser. */
export const chromiumLack: Lack = executablePath === undefined ? "Chromium is not installed" : null;

/** Why tests that say how much a page may store have to be left out. */
export const quotaLack: Lack = isFirefox() ? "Firefox lets nobody set what a page may store" : chromiumLack;

/** Whether a Firefox is to stand in for Chromium, where a test needs no options of that. */
function isFirefox(): boolean {
  return Deno.env.get("SMP_TEST_BROWSER") === "firefox";
}

/** The Chromium of all tests of {@linkcode testsInChromium} in this process, from before the first to after the last. */
let shared: Browser | null = null;
let isShared = false;

/** As {@linkcode requiring} a Chromium, which tests that want no options of their own share: a start takes a second. */
export function testsInChromium(): ReturnType<typeof requiring> {
  if (chromiumLack === null && !isShared && !isFirefox()) {
    isShared = true;
    Deno.test.beforeAll(async () => {
      shared = await launch();
    });
    Deno.test.afterAll(async () => {
      await shared?.close();
      shared = null;
    });
  }
  return requiring(chromiumLack);
}

/** Gives `test` a Chromium, which has no pages of others; what fails says what was on the pages. */
export async function withBrowser(
  test: (browser: Browser) => Promise<void>,
  ...options: readonly string[]
): Promise<void> {
  if (isFirefox() && options.length === 0) return await withFirefox(test);
  const common = options.length === 0 ? shared : null;
  const browser = common ?? await launch(...options);
  try {
    await tellingScreens(browser, test);
  } finally {
    if (common === null) await browser.close();
    // What a test leaves open would go on beside the next one.
    else await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

function launch(...options: readonly string[]): Promise<Browser> {
  if (executablePath === undefined) {
    throw new Error("there is no Chromium (Debian: apt-get install chromium)");
  }
  const features = `--disable-features=${[...unseen, ...offAnyway].join(",")}`;
  // Its sandbox is not for root, and these pages are our own.
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", features, ...options],
    timeout: patience,
  });
}

/** Gives `test` a Firefox and closes it; what fails says what was on the pages. */
export async function withFirefox(test: (browser: Browser) => Promise<void>): Promise<void> {
  await using firefox = await launchFirefox();
  await tellingScreens(firefox.browser, test);
}

async function tellingScreens(browser: Browser, test: (browser: Browser) => Promise<void>): Promise<void> {
  try {
    await test(browser);
  } catch (cause) {
    const screens = await Promise.all(browser.contexts().flatMap((context) => context.pages()).map(screenOf));
    throw new Error(`${cause instanceof Error ? cause.message : cause}\n\n${screens.join("\n\n")}`, {
      cause,
    });
  }
}

/** The option with which Chromium trusts a certificate, as browsers do that trust its authority. */
export async function trusting(path: string): Promise<string> {
  const { publicKey } = new X509Certificate(await Deno.readTextFile(path));
  const hash = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest(
    "base64",
  );
  return `--ignore-certificate-errors-spki-list=${hash}`;
}

async function screenOf(page: Page): Promise<string> {
  const shown = await page.locator("body").innerText({ timeout: 1_000 }).catch((error) =>
    `(${error.message})`
  );
  return `${page.url()} shows:\n${shown.replaceAll(/^/gm, "  ")}`;
}

/** Opens a page in a context of its own. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<TestPage> {
  const context = await browser.newContext(options);
  // Of its other tabs, too.
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const problems: string[] = [];
  const origins = new Set<string>();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("request", (request) => {
    // In Firefox Playwright takes WebSockets for requests, too.
    if (!isFirefox() || request.isNavigationRequest()) origins.add(new URL(request.url()).origin);
  });
  return { page, problems, origins };
}

/** The file that a page downloads by what `click` does, and the name that the browser gives it. */
export async function downloaded(page: Page, click: () => Promise<void>): Promise<Downloaded> {
  const coming = nextDownload(page);
  if (coming !== null) return (await Promise.all([coming, click()]))[0];
  const [download] = await Promise.all([page.waitForEvent("download"), click()]);
  return { path: await download.path(), name: download.suggestedFilename() };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
