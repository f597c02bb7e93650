import { encode } from "uqr";

const svg = "http://www.w3.org/2000/svg";

/** A picture of a text that phones can read. */
export function qrCode(text: string, label: string): SVGElement {
  const { data, size } = encode(text, { ecc: "L", border: 4 });
  const path = data.flatMap((row, y) => row.map((isDark, x) => isDark ? `M${x} ${y}h1v1h-1z` : "")).join("");
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", `0 0 ${size} ${size}`);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  picture.setAttribute("shape-rendering", "crispEdges");
  const squares = document.createElementNS(svg, "path");
  squares.setAttribute("d", path);
  picture.append(squares);
  return picture;
}
