/** A line of a plot: a name and its points, in ascending order. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const [width, height] = [720, 400];
const [left, right, top, bottom] = [80, 170, 48, 48];
const colours = ["#0a6ebd", "#c2410c", "#15803d", "#7e22ce"];

/** Draws lines over logarithmic axes as SVG, readable on light and on dark pages. */
export function plot(
  title: string,
  axes: { readonly x: string; readonly y: string },
  series: readonly Series[],
): string {
  const points = series.flatMap((line) => line.points);
  const xRange = decades(points.map(([x]) => x)), yRange = decades(points.map(([, y]) => y));
  const x = scale(xRange, left, width - right), y = scale(yRange, height - bottom, top);
  const parts = [
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(left, 28, title, 'font-size="16" font-weight="bold"'),
    text((left + width - right) / 2, height - 10, axes.x, 'text-anchor="middle"'),
    `<text transform="translate(18 ${(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">${
      escape(axes.y)
    }</text>`,
  ];
  for (let decade = xRange[0]; decade <= xRange[1]; decade++) {
    parts.push(grid(x(10 ** decade), top, x(10 ** decade), height - bottom));
    parts.push(text(x(10 ** decade), height - bottom + 18, label(10 ** decade), 'text-anchor="middle"'));
  }
  for (let decade = yRange[0]; decade <= yRange[1]; decade++) {
    parts.push(grid(left, y(10 ** decade), width - right, y(10 ** decade)));
    parts.push(text(left - 8, y(10 ** decade) + 4, label(10 ** decade), 'text-anchor="end"'));
  }
  for (const [i, { name, points }] of series.entries()) {
    const colour = colours[i % colours.length]!;
    const corners = points.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`);
    parts.push(`<polyline points="${corners.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const corner of corners) {
      const [cx, cy] = corner.split(",");
      parts.push(`<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`);
    }
    parts.push(text(width - right + 14, top + 16 + i * 20, name, `fill="${colour}"`));
  }
  const frame = `xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"`;
  return `<svg ${frame} font-family="sans-serif" font-size="12" fill="#222">\n${parts.join("\n")}\n</svg>\n`;
}

function decades(values: readonly number[]): [number, number] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  return [first, Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))))];
}

function scale(
  [first, last]: readonly [number, number],
  from: number,
  to: number,
): (value: number) => number {
  return (value) => from + (Math.log10(value) - first) / (last - first) * (to - from);
}

function grid(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#ddd"/>`;
}

function label(value: number): string {
  return value >= 1 ? value.toLocaleString("en").replaceAll(",", " ") : `${value}`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
