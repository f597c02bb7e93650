/** Style and script are files of their own, as the content security policy demands. */
export const pageHtml = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SMP server</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="status.css">
<script src="status.js" defer></script>
</head>
<body>
<header>
<h1>SMP server</h1>
<p id="state" role="status">connecting…</p>
<noscript><p>This page needs JavaScript; <a href="metrics">the numbers as text</a> do not.</p></noscript>
</header>
<main>
<h2>Now</h2>
<dl id="now"></dl>
<section id="cluster" hidden>
<h2>Cluster</h2>
<table>
<thead><tr><th scope="col">Node</th><th scope="col">State</th><th scope="col">Lease</th><th scope="col">Partitions</th></tr></thead>
<tbody id="nodes"></tbody>
</table>
<table>
<thead><tr>
<th scope="col">Partition</th><th scope="col">Owner</th><th scope="col">Changes</th><th scope="col">Log</th>
<th scope="col">Lag</th><th scope="col">Snapshot</th><th scope="col">Forwarded</th>
</tr></thead>
<tbody id="partitions"></tbody>
</table>
</section>
<h2>Last hour</h2>
<div id="charts"></div>
<h2>Refused since the start</h2>
<table>
<thead><tr><th scope="col">Because of</th><th scope="col">Times</th></tr></thead>
<tbody id="refused"></tbody>
</table>
</main>
<footer><p>New numbers every 3 seconds, the charts every 10.</p></footer>
</body>
</html>
`;

export const pageStyle = `:root {
  color-scheme: light dark;
  --ink: #1a1c1f; --soft: #555b63; --paper: #fff; --card: #f3f4f6; --line: #2563eb; --bad: #b91c1c;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a5acb5; --paper: #111417; --card: #1c2126; --line: #60a5fa; --bad: #f87171; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 64rem;
  font: 1rem/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper);
}
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
#state { margin: .25rem 0 0; color: var(--soft); overflow-wrap: anywhere; }
#state.bad { color: var(--bad); font-weight: bold; }
main.old { opacity: .75; }
dl, #charts { display: grid; gap: .5rem; margin: 0; }
dl { grid-template-columns: repeat(auto-fill, minmax(min(100%, 8.5rem), 1fr)); }
#charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr)); }
dl div, figure { background: var(--card); border-radius: .5rem; padding: .5rem .75rem; margin: 0; min-width: 0; }
dt, figcaption, footer { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: 4rem; border-bottom: 1px solid var(--soft); }
path {
  fill: none; stroke: var(--line); stroke-width: 1.5; stroke-linecap: round; vector-effect: non-scaling-stroke;
}
table { border-collapse: collapse; width: 100%; max-width: 24rem; }
#cluster { overflow-x: auto; }
#cluster table { max-width: none; margin-bottom: .75rem; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--card); }
th { font-weight: normal; }
thead th { color: var(--soft); font-size: .85rem; }
td { font-variant-numeric: tabular-nums; }
`;
