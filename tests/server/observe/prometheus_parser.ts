/** A line with a value. */
export interface ParsedSample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** A metric with all its lines. */
export interface ParsedFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: ParsedSample[];
}

const name = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/y;
const sampleLine = new RegExp(`^(${name})(?:\\{(.*)\\})? ([^ ]+)$`);
const headLine = new RegExp(`^# (HELP|TYPE) (${name}) (.+)$`);

/**
 * Reads the text format 0.0.4 of Prometheus, written from its specification alone. Throws when a line is not of the
 * format, a family comes twice or lacks its HELP or TYPE, or a series comes twice.
 */
export function parsePrometheus(text: string): Map<string, ParsedFamily> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, ParsedFamily>();
  const series = new Set<string>();
  let help: RegExpExecArray | null = null;
  let family: ParsedFamily | null = null;
  for (const line of text.slice(0, -1).split("\n")) {
    const head = headLine.exec(line);
    if (head?.[1] === "HELP") {
      help = head;
      family = null;
    } else if (head !== null) {
      if (help === null || help[2] !== head[2]) throw new Error(`TYPE without its HELP: ${line}`);
      if (!["counter", "gauge", "histogram"].includes(head[3]!)) throw new Error(`not a type: ${line}`);
      if (families.has(head[2]!)) throw new Error(`comes twice: ${line}`);
      family = { name: head[2]!, type: head[3]!, help: help[3]!, samples: [] };
      families.set(family.name, family);
    } else {
      if (family === null) throw new Error(`no family: ${line}`);
      const sample = parseSample(line);
      if (!namesOf(family).includes(sample.name)) throw new Error(`not of ${family.name}: ${line}`);
      const key = line.slice(0, line.lastIndexOf(" "));
      if (series.has(key)) throw new Error(`series comes twice: ${line}`);
      series.add(key);
      family.samples.push(sample);
    }
  }
  return families;
}

/** The names of the lines of a family. */
export function namesOf({ name, type }: ParsedFamily): string[] {
  return type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
}

function parseSample(line: string): ParsedSample {
  const match = sampleLine.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const value = match[3] === "+Inf" ? Infinity : Number(match[3]);
  if (Number.isNaN(value) || match[3]!.trim() === "") throw new Error(`not a number: ${line}`);
  return { name: match[1]!, labels: parseLabels(match[2] ?? ""), value };
}

function parseLabels(text: string): Map<string, string> {
  const labels = new Map<string, string>();
  for (label.lastIndex = 0; label.lastIndex < text.length;) {
    const match = label.exec(text);
    if (match === null || labels.has(match[1]!)) throw new Error(`not labels: ${text}`);
    const value = match[2]!.replace(/\\(.)/g, (_, char) => char === "n" ? "\n" : char);
    labels.set(match[1]!, value);
  }
  return labels;
}
