import { assert, assertEquals } from "@std/assert";
import { Monitor } from "../../server/observe/monitor.ts";
import { gauges, nodeStatus, testSource } from "../server/observe/samples.ts";
import { openPage, testsInChromium, withBrowser } from "../support/browser.ts";

const test = testsInChromium();
const phone = { viewport: { width: 320, height: 640 } };

test("the status page is live, readable on a phone, and asks nobody but the server", () =>
  withBrowser(async (browser) => {
    const source = testSource();
    await using monitor = Monitor.start({ host: "127.0.0.1", port: 0, source });
    for (const connections of [1, 5, 3]) {
      source.gauges = () => ({ ...gauges, connections });
      monitor.sample();
    }
    const url = `http://127.0.0.1:${monitor.port}`;
    const { page, problems, origins } = await openPage(browser, phone);
    await page.goto(url);
    await page.getByText("running, version 1.2.3").waitFor();
    assertEquals(await page.locator("#now-connections dd").textContent(), "3");
    assertEquals(await page.locator("#now-memory dd").textContent(), "180 MiB");

    // Charts: one line each, whose label says the same for those who do not see it.
    assertEquals(await page.locator("#charts svg").count(), 11);
    const chart = page.locator("#chart-connections svg");
    assertEquals(await chart.getAttribute("aria-label"), "Connections in the last hour: at most 5, now 3");
    // A slow browser sees what the monitor has sampled by itself, too.
    assert(/^M[\d.,]+(L[\d.,]+){3,}$/.test((await chart.locator("path").getAttribute("d"))!));
    assertEquals(await page.getByRole("row", { name: "quota 1" }).count(), 1);

    // Nothing is wider than the screen, and text is not too small to read.
    const wide = await page.evaluate("document.documentElement.scrollWidth");
    assertEquals(wide, phone.viewport.width);
    const sizes = await page.evaluate(
      "[...document.querySelectorAll('dt, dd, td, th, figcaption')].map((e) => parseFloat(getComputedStyle(e).fontSize))",
    ) as number[];
    assert(Math.min(...sizes) >= 12);

    source.gauges = () => ({ ...gauges, connections: 4242 });
    source.notReady = () => "memory is short";
    // What its chart says comes with the monitor's next sample.
    await page.locator("#now-connections").getByText("4,242").waitFor();
    await page.getByText("not ready: memory is short").waitFor();
    assertEquals([problems, [...origins]], [[], [url]]);

    await monitor.stop();
    await page.getByText("the server does not answer").waitFor();
  }));

test("what the server tells is text on the status page, never markup", () =>
  withBrowser(async (browser) => {
    const source = { ...testSource(), notReady: () => "<img src=x onerror=alert(1)>" };
    await using monitor = Monitor.start({ host: "127.0.0.1", port: 0, source });
    const { page, problems } = await openPage(browser, { colorScheme: "dark" });
    await page.goto(`http://127.0.0.1:${monitor.port}`);
    await page.getByText("not ready: <img src=x onerror=alert(1)>").waitFor();
    assertEquals(await page.locator("img").count(), 0);
    assertEquals(problems, []);
    assertEquals(await page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(17, 20, 23)");
  }));

test("the status page of a node has its cluster's nodes and partitions, on a phone, too", () =>
  withBrowser(async (browser) => {
    let status = nodeStatus;
    const source = { ...testSource(), cluster: () => status };
    await using monitor = Monitor.start({ host: "127.0.0.1", port: 0, source });
    const { page, problems } = await openPage(browser, phone);
    await page.goto(`http://127.0.0.1:${monitor.port}`);
    await page.getByRole("row", { name: "a (this one) live 0.5 s 1" }).waitFor();
    await page.getByRole("row", { name: "c gone – 0" }).waitFor();
    await page.getByRole("row", { name: "0 a 2 40 250 ms 1 min 70" }).waitFor();
    await page.getByRole("row", { name: "1 being claimed 1 – – – 30" }).waitFor();
    assertEquals(await page.evaluate("document.documentElement.scrollWidth"), phone.viewport.width);
    status = { ...nodeStatus, holds: false };
    await page.getByText("live, may not answer").waitFor();
    assertEquals(problems, []);
  }));
