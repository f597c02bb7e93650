/** What a terminal shows from some moment on. */
export interface Frame {
  /** Milliseconds since the beginning. */
  readonly at: number;
  /** Its lines, with colours as escape sequences. */
  readonly lines: readonly string[];
}

/** A terminal of a film, and where it stands. */
export interface Film {
  readonly title: string;
  readonly columns: number;
  readonly rows: number;
  /** The place of its upper left corner, in characters and lines. */
  readonly place: readonly [column: number, row: number];
  readonly frames: readonly Frame[];
}

/** Pixels of a character and a line. */
const [width, height] = [7.25, 16];
/** Pixels around and between terminals, and of a title. */
const [margin, titleHeight] = [10, 22];

const colours = ["#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"];

/** The escape sequences of a line are its colours alone; others are left out. */
// deno-lint-ignore no-control-regex
const sequence = /\x1b(?:\[([\d;:]*)([a-zA-Z])|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)/g;

function escaped(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\x00-\x1f\x7f]/g, "").replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** A line as parts of an SVG text. */
export function spansOf(line: string): string {
  let [result, style, last] = ["", "", 0];
  const add = (text: string) => {
    const safe = escaped(text);
    if (safe !== "") result += style === "" ? safe : `<tspan style="${style}">${safe}</tspan>`;
  };
  for (const { 0: { length }, 1: codes = "", 2: kind, index } of line.matchAll(sequence)) {
    add(line.slice(last, index));
    last = index + length;
    if (kind === "m") style = styleOf(style, codes);
  }
  add(line.slice(last));
  return result.trimEnd();
}

/** The style after the numbers of a sequence: bold, faint and the eight colours. */
function styleOf(before: string, codes: string): string {
  const styles = new Map(before.split(";").filter(Boolean).map((one) => one.split(":") as [string, string]));
  // Of 256 and more colours nothing is shown here.
  const known = /^[34]8[;:]/.test(codes) ? [] : codes.split(";").map(Number);
  for (const code of known) {
    if (code === 0) styles.clear();
    else if (code === 1) styles.set("font-weight", "bold");
    else if (code === 2) styles.set("opacity", "0.6");
    else if (code === 22) ["font-weight", "opacity"].forEach((name) => styles.delete(name));
    else if (code === 39) styles.delete("fill");
    else if (code >= 30 && code <= 37) styles.set("fill", colours[code - 30]!);
    else if (code >= 90 && code <= 97) styles.set("fill", colours[code - 90]!);
  }
  return [...styles].map((one) => one.join(":")).join(";");
}

/** An SVG picture that shows films over and over; `duration` is milliseconds. */
export function filmSvg(films: readonly Film[], duration: number): string {
  const texts = new Map<string, number>();
  const idOf = (text: string): number => {
    if (!texts.has(text)) texts.set(text, texts.size);
    return texts.get(text)!;
  };
  const [styles, screens]: [string[], string[]] = [[], []];
  for (const [i, { title, columns, rows, place: [column, row], frames }] of films.entries()) {
    const x = margin + column * (width + 0.15);
    const y = margin + row * height;
    const [w, h] = [columns * width + 2 * margin, rows * height + margin];
    const moves = frames.map(({ at }, n) =>
      `${(100 * at / duration).toFixed(3)}%{transform:translateY(${-n * h}px)}`
    );
    styles.push(
      `@keyframes k${i}{${moves.join("")}100%{transform:translateY(${-(frames.length - 1) * h}px)}}`,
      `#f${i}{animation:k${i} ${duration / 1000}s steps(1,end) infinite}`,
      // Who wants no motion sees how it ends.
      `@media(prefers-reduced-motion:reduce){#f${i}{animation:none;transform:translateY(${
        -(frames.length - 1) * h
      }px)}}`,
    );
    const pictures = frames.map(({ lines }, n) =>
      lines.map((line, at) => ({ text: spansOf(line), at })).filter(({ text }) => text !== "").map(
        ({ text, at }) => `<use href="#t${idOf(text)}" y="${n * h + (at + 1) * height - 3}"/>`,
      ).join("")
    );
    screens.push(
      `<rect x="${x}" y="${y}" width="${w}" height="${
        h + titleHeight
      }" rx="6" fill="#161b22" stroke="#30363d"/>`,
      `<text x="${x + margin}" y="${y + 15}" fill="#8b949e">${escaped(title)}</text>`,
      `<svg x="${x + margin}" y="${y + titleHeight}" width="${w - margin}" height="${h}"><g id="f${i}">${
        pictures.join("\n")
      }</g></svg>`,
    );
  }
  const right = Math.max(...films.map(({ columns, place }) => place[0] * (width + 0.15) + columns * width));
  const below = Math.max(...films.map(({ rows, place }) => (place[1] + rows) * height));
  const [w, h] = [Math.ceil(right + 4 * margin), Math.ceil(below + titleHeight + 3 * margin)];
  const defined = [...texts].map(([text, id]) => `<text id="t${id}" xml:space="preserve">${text}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="12" fill="#e6edf3">
<style>${styles.join("\n")}</style>
<defs>${defined.join("\n")}</defs>
<rect width="${w}" height="${h}" rx="8" fill="#0d1117"/>
${screens.join("\n")}
</svg>
`;
}
