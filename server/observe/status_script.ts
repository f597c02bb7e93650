export const pageScript = `"use strict";
const interval = 3000;
const moments = 360;
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const count = (n) => number.format(n);
const rate = (n) => number.format(n) + "/s";
const bytes = (n) => Math.round(n / 1048576).toLocaleString("en") + " MiB";
const times = (n) => n === null ? "none" : n > 10000 ? "over 10 s" : number.format(n) + " ms";
const duration = (s) => {
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  return d > 0 ? d + " d " + h + " h" : h > 0 ? h + " h " + m + " min" : m > 0 ? m + " min" : s + " s";
};
const charts = [
  ["accepted", "Messages accepted", rate],
  ["delivered", "Messages delivered", rate],
  ["commands", "Commands", rate],
  ["p50", "Delivery: half within", times],
  ["p99", "Delivery: 99 % within", times],
  ["connections", "Connections", count],
  ["queues", "Queues", count],
  ["messages", "Messages waiting", count],
  ["memory", "Memory", bytes],
  ["refused", "Refused", rate],
  ["errors", "Errors", rate],
];
const byId = (id) => document.getElementById(id);
function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
let last = null;
// Rates are since the numbers before; until there are some, those of the last moment of the history.
function rateOf(name, { totals, history }, at) {
  if (last === null || totals[name] < last.totals[name]) return history[name].at(-1) ?? 0;
  return (totals[name] - last.totals[name]) * 1000 / (at - last.at);
}
function showNow(status, at) {
  const { gauges, totals, refused, uptime, workers } = status;
  const rows = [
    ["connections", "Connections", count(gauges.connections)],
    ["queues", "Queues", count(gauges.queues)],
    ["subscriptions", "Subscribed queues", count(gauges.subscriptions)],
    ["opened", "Opened queues", count(gauges.opened)],
    ["messages", "Messages waiting", count(gauges.messages)],
    ["unacknowledged", "Messages not acknowledged", count(gauges.delivered)],
    ["accepted", "Messages accepted", rate(rateOf("accepted", status, at))],
    ["delivered", "Messages delivered", rate(rateOf("delivered", status, at))],
    ["commands", "Commands", rate(rateOf("commands", status, at))],
    ["p50", "Delivery: half within", times(totals.p50)],
    ["p99", "Delivery: 99 % within", times(totals.p99)],
    ["refused", "Refused", count(Object.values(refused).reduce((sum, n) => sum + n, 0))],
    ["handshakes", "Failed handshakes", count(totals.handshakesFailed)],
    ["errors", "Internal errors", count(totals.internalErrors)],
    ["log", "Failed log writes", count(totals.logFailures)],
    ["memory", "Memory", bytes(gauges.memory)],
    ["uptime", "Running for", duration(uptime)],
  ];
  if (workers !== undefined) {
    rows.push(["workers", "Workers ready", count(workers.ready) + " of " + count(workers.all)]);
    rows.push(["restarts", "Workers restarted", count(workers.restarts)]);
  }
  byId("now").replaceChildren(...rows.map(([name, title, value]) => {
    const row = document.createElement("div");
    row.id = "now-" + name;
    row.append(element("dt", title), element("dd", value));
    return row;
  }));
}
// The right edge is now, the left one an hour ago; where there is no value the line has a gap.
function pathOf(values, most) {
  let path = "";
  let isDrawing = false;
  values.forEach((value, i) => {
    if (value !== null) {
      const x = ((moments - values.length + i + 1) * 100 / moments).toFixed(2);
      const point = x + "," + (39 - (most > 0 ? value / most : 0) * 37).toFixed(2);
      path += isDrawing ? "L" + point : "M" + point + "L" + point;
    }
    isDrawing = value !== null;
  });
  return path;
}
function chart([name, title, format], values) {
  const known = values.filter((value) => value !== null);
  const most = Math.max(0, ...known);
  const text = known.length === 0 ? "nothing yet" : "at most " + format(most);
  const made = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const now = values.length === 0 ? "" : ", now " + format(values.at(-1));
  const svg = made("svg", {
    viewBox: "0 0 100 40",
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": title + " in the last hour: " + text + now,
  });
  svg.append(made("path", { d: pathOf(values, most) }));
  const figure = document.createElement("figure");
  figure.id = "chart-" + name;
  figure.append(element("figcaption", title + " (" + text + ")"), svg);
  return figure;
}
function showRefused(refused) {
  byId("refused").replaceChildren(...Object.entries(refused).map(([reason, times]) => {
    const row = document.createElement("tr");
    const head = element("th", reason.replaceAll("_", " "));
    head.scope = "row";
    row.append(head, element("td", count(times)));
    return row;
  }));
}
function showCluster(cluster) {
  byId("cluster").hidden = cluster === undefined;
  if (cluster === undefined) return;
  const row = ([first, ...cells]) => {
    const made = document.createElement("tr");
    const head = element("th", first);
    head.scope = "row";
    made.append(head, ...cells.map((cell) => element("td", cell)));
    return made;
  };
  const none = "\u2013";
  const seconds = (ms) => number.format(ms / 1000) + " s";
  byId("nodes").replaceChildren(...cluster.nodes.map(({ node, state, leaseAge, partitions }) => {
    const isOwn = node === cluster.node;
    const name = isOwn ? node + " (this one)" : node;
    const what = isOwn && !cluster.holds ? state + ", may not answer" : state;
    const age = isOwn ? cluster.leaseAge : leaseAge;
    return row([name, what, state === "gone" ? none : seconds(age), count(partitions)]);
  }));
  byId("partitions").replaceChildren(...cluster.partitions.map((one) => row([
    String(one.partition),
    one.owner === null ? (one.isClaimed ? "being claimed" : "nobody") : one.owner.node,
    count(one.ownerChanges),
    one.own === null ? none : count(one.own.sequence),
    one.own === null ? none : times(one.own.lag),
    one.own === null || one.own.snapshot === null ? none : duration(Math.floor(one.own.snapshot.age / 1000)),
    one.sessions === null ? none : count(one.sessions.forwarded),
  ])));
}
function say(text, { isBad = false, isOld = false } = {}) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("bad", isBad);
  document.querySelector("main").classList.toggle("old", isOld);
}
async function refresh() {
  try {
    const response = await fetch("status.json", { signal: AbortSignal.timeout(interval) });
    if (!response.ok) throw new Error("status " + response.status);
    const status = await response.json();
    const at = performance.now();
    showNow(status, at);
    byId("charts").replaceChildren(...charts.map((one) => chart(one, status.history[one[0]])));
    showRefused(status.refused);
    showCluster(status.cluster);
    last = { totals: status.totals, at };
    if (status.notReady === null) say("running, version " + status.version);
    else say("not ready: " + status.notReady, { isBad: true });
  } catch {
    last = null;
    say("the server does not answer; the numbers are old", { isBad: true, isOld: true });
  }
  setTimeout(refresh, interval);
}
refresh();
`;
