import process from "node:process";

const width = 30;

/** Draws how far something is, on the standard error when that is a terminal; the last call ends the line. */
export function drawProgress(share: number): void {
  if (!process.stderr.isTTY) return;
  const full = Math.round(Math.min(share, 1) * width);
  const percent = `${Math.round(Math.min(share, 1) * 100)}`.padStart(3);
  process.stderr.write(
    `\r[${"#".repeat(full)}${"-".repeat(width - full)}] ${percent} %${share >= 1 ? "\n" : ""}`,
  );
}
