import { stripped } from "./print.ts";

/** Milliseconds of which the speed is the mean. */
const span = 5_000;

/** Milliseconds between two bars, and between two lines of JSON. */
const barInterval = 100;

/** Characters of the bar itself. */
const barLength = 20;

/** How far something is. */
export interface Progress {
  readonly bytes: number;
  /** `null`: not known. */
  readonly size: number | null;
}

/** Shows on a terminal how far something is, in one line that is written again and again. */
export class ProgressLine {
  readonly #show: (text: string) => void;
  readonly #columns: () => number;
  readonly #now: () => number;
  #line = "";
  /** When how much was there, oldest first. */
  #samples: { readonly at: number; readonly bytes: number }[] = [];

  /** `show` writes to the terminal, `columns` says how wide that is. */
  constructor(
    { show, columns, now = () => performance.now() }: {
      readonly show: (text: string) => void;
      readonly columns: () => number;
      readonly now?: () => number;
    },
  ) {
    this.#show = show;
    this.#columns = columns;
    this.#now = now;
  }

  /** Shows how far it is. */
  update(name: string, progress: Progress): void {
    const now = this.#now();
    if (now - (this.#samples.at(-1)?.at ?? -Infinity) >= barInterval) {
      this.#samples.push({ at: now, bytes: progress.bytes });
      while (now - (this.#samples[1]?.at ?? now) > span) this.#samples.shift();
    }
    const first = this.#samples[0]!;
    const speed = now > first.at ? (progress.bytes - first.bytes) * 1000 / (now - first.at) : 0;
    const line = lineOf(name, { progress, speed, columns: this.#columns() - 1 });
    if (line === this.#line) return;
    this.#line = line;
    this.#show(`\r${line}\x1b[K`);
  }

  /** Takes the line away, for another one to be written. */
  clear(): void {
    if (this.#line === "") return;
    this.#line = "";
    this.#show("\r\x1b[K");
  }

  /** Something else begins. */
  reset(): void {
    this.clear();
    this.#samples = [];
  }
}

/** One line, which fits the terminal. */
function lineOf(
  name: string,
  { progress: { bytes, size }, speed, columns }: {
    readonly progress: Progress;
    readonly speed: number;
    readonly columns: number;
  },
): string {
  const rate = `${formatBytes(speed)}/s`;
  const said = size === null
    ? `${formatBytes(bytes)}  ${rate}`
    : `${bar(bytes, size)} ${`${size === 0 ? 100 : Math.floor(bytes * 100 / size)}`.padStart(3)} %  ${
      formatBytes(bytes)
    } of ${formatBytes(size)}  ${rate}${left(size - bytes, speed)}`;
  const room = Math.max(0, columns - said.length - 2);
  const shown = stripped(name, room);
  return (shown === "" ? said : `${shown}  ${said}`).slice(0, Math.max(0, columns));
}

function bar(bytes: number, size: number): string {
  const done = size === 0 ? barLength : Math.floor(bytes * barLength / size);
  return `[${"#".repeat(done)}${"-".repeat(Math.max(0, barLength - done))}]`;
}

function left(bytes: number, speed: number): string {
  if (speed < 1 || bytes === 0) return "";
  const seconds = Math.ceil(bytes / speed);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const clock = [...(hours > 0 ? [hours] : []), minutes, seconds % 60];
  return `  ${clock.map((part, at) => at === 0 ? `${part}` : `${part}`.padStart(2, "0")).join(":")}`;
}

/** `12.3 MB`. */
export function formatBytes(bytes: number): string {
  const units = ["kB", "MB", "GB", "TB"];
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  let value = bytes / 1000, unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}
