/** What came of a run of `deno test`. */
export interface TestReport {
  /** How many tests passed, their steps not counted. */
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Reads the report that `deno test --junit-path` has written, in which text has no `<`. */
export function parseReport(xml: string): TestReport {
  let passed = 0;
  const failed: string[] = [], skipped: string[] = [];
  for (const [, suite] of xml.matchAll(/<testsuite (.*?)<\/testsuite>/gs)) {
    const cases = [...suite!.matchAll(/<testcase name="(.*?)" classname="(.*?)".*?>(.*?)<\/testcase>/gs)]
      .map(([, name, file, content]) => ({
        name: unescape(name!),
        file: unescape(file!),
        content: content!,
      }));
    const names = new Set(cases.map(({ name }) => name));
    for (const { name, file, content } of cases) {
      if (content.includes("<skipped")) skipped.push(name);
      else if (isStep(name, names)) continue;
      else if (/<(failure|error)/.test(content)) failed.push(`${name} (${file})`);
      else passed++;
    }
  }
  return { passed, failed, skipped };
}

/** Whether a name is that of a test of its file with that of a step behind it. */
function isStep(name: string, names: ReadonlySet<string>): boolean {
  for (let at = name.indexOf(" > "); at >= 0; at = name.indexOf(" > ", at + 1)) {
    if (names.has(name.slice(0, at))) return true;
  }
  return false;
}

function unescape(text: string): string {
  return text.replaceAll(/&(#x?[0-9a-f]+|\w+);/gi, (entity, name: string) => {
    if (!name.startsWith("#")) return entities[name] ?? entity;
    return String.fromCodePoint(Number(name.replace("#", name[1] === "x" ? "0" : "")));
  });
}

/** Whether `deno test --filter` runs a test of this name: it takes what is no regular expression for one that nothing fits. */
export function isHit(name: string, filter: string): boolean {
  const [, pattern] = /^\/(.*)\/$/s.exec(filter) ?? [];
  if (pattern === undefined) return name.includes(filter);
  try {
    return new RegExp(pattern).test(name);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
