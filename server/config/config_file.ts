import {
  defaultConfig,
  type Directories,
  type Given,
  type GivenSettings,
  type ServerConfig,
} from "./config.ts";
import { parseIni } from "./ini.ts";
import { isSlipOf, nearest } from "./nearest.ts";
import { nameOf, type Setting, settings, writeValue } from "./settings.ts";

export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "CONFIG";
}

export interface ParsedConfig {
  readonly config: ServerConfig;
  readonly warnings: readonly string[];
  /** The warning of an ignored key that was perhaps meant to keep queues. */
  readonly missedStoreLog: string | null;
}

export function parseConfig(text: string, file: string, directories: Given): ParsedConfig {
  const { entries, problems } = parseIni(text);
  const errors = problems.map(({ line }) => ({ line, what: "it is not [SECTION], key: value or a comment" }));
  const warnings: string[] = [];
  let missedStoreLog: string | null = null;
  const seen = new Map<string, number>();
  let config = defaultConfig(directories);
  const table = new Map(settings(directories).map((setting) => [nameOf(setting), setting]));
  for (const { line, section, key, value } of entries) {
    const setting = table.get(nameOf({ section, key }));
    const earlier = seen.get(nameOf({ section, key }));
    if (setting === undefined) {
      const where = section === "" ? "outside of any section" : `in [${section}]`;
      const meant = meantBy({ section, key }, [...table.values()]);
      const hint = meant === null ? "" : `; did you mean ${meant}?`;
      const what = `there is no key ${key} ${where}`;
      if (isSlip({ section, key }, table.values())) {
        errors.push({ line, what: what + hint });
        continue;
      }
      const warning = `${file}: line ${line}: ${what}, it is ignored${hint}`;
      warnings.push(warning);
      const isStoreLog = meant === "[STORE_LOG] enable" ||
        (meant === "enable" && section.toUpperCase() === "STORE_LOG");
      if (isStoreLog && value.toLowerCase() !== "off") missedStoreLog ??= warning;
      continue;
    }
    if (earlier !== undefined) {
      warnings.push(`${file}: line ${line}: ${key} is also in line ${earlier}; the last one counts`);
    }
    seen.set(nameOf({ section, key }), line);
    const read = setting.read(value);
    if ("allowed" in read) {
      const given = setting.isSecret ? "what it is" : `"${value}"`;
      errors.push({ line, what: `${key} must be ${read.allowed}, not ${given}` });
    } else {
      const { limits, extensions, ...rest } = read.value;
      config = {
        ...config,
        ...rest,
        limits: { ...config.limits, ...limits },
        extensions: { ...config.extensions, ...extensions },
      };
    }
  }
  const last = entries.at(-1);
  if (last !== undefined && last.line === text.split("\n").length) {
    warnings.push(`${file}: line ${last.line} has no end: if the file was cut off, ${last.key} may be too`);
  }
  const access = accessProblem(config);
  if (access !== null) {
    const line = seen.get("[ACCESS] create") ?? seen.get("[ACCESS] password") ?? 0;
    if (access.isError) errors.push({ line, what: access.what });
    else warnings.push(`${file}: line ${line}: ${access.what}`);
  }
  if (errors.length > 0) {
    const lines = errors.toSorted((a, b) => a.line - b.line).map(({ line, what }) =>
      `${file}: line ${line}: ${what}`
    );
    throw new ConfigError(lines.join("\n"));
  }
  return { config, warnings, missedStoreLog };
}

function accessProblem(
  { create, createPassword }: ServerConfig,
): { readonly isError: boolean; readonly what: string } | null {
  const isAsked = create.includes("password");
  if (isAsked && createPassword === null) {
    return { isError: true, what: "create wants a password, and there is no password in [ACCESS]" };
  }
  if (isAsked || createPassword === null) return null;
  return { isError: false, what: "the password is not used: create does not name it" };
}

/** Whoever wrote it meant a key that there is, and would not get what they have set. */
function isSlip({ section, key }: Pick<Setting, "section" | "key">, table: Iterable<Setting>): boolean {
  for (const known of table) if (isSlipOf(known.section, section) && isSlipOf(known.key, key)) return true;
  return false;
}

/** A key of the same section, else the same key of a section like it, or of any. */
function meantBy(
  { section, key }: Pick<Setting, "section" | "key">,
  table: readonly Setting[],
): string | null {
  const sections = new Set(table.map((setting) => setting.section));
  const own = sections.has(section.toUpperCase()) ? section.toUpperCase() : nearest(section, sections);
  const here = nearest(key, table.filter((setting) => setting.section === own).map((setting) => setting.key));
  const isOwn = own === section.toUpperCase();
  if (here !== null) return isOwn ? here : `[${own}] ${here}`;
  if (own !== null && !isOwn) return `[${own}]`;
  const elsewhere = table.filter((setting) => setting.key === key.toLowerCase());
  return elsewhere.length === 0 ? null : elsewhere.map((s) => `[${s.section}] ${s.key}`).join(" or ");
}

export function defaultIni(directories: Directories, given: GivenSettings = {}): string {
  const lines = [
    "## SMP server. Every key is shown with its default or, where the comment gives the default, with an example;",
    "## to change one, remove its # and write another value.",
    "## reload or SIGHUP makes a running server read [ACCESS], [LIMITS] and [LOG] level again; the rest takes a restart.",
  ];
  let section = "";
  for (const setting of settings(directories)) {
    if (setting.section !== section) lines.push("", `[${section = setting.section}]`);
    const value = writeValue(setting.of(given) ?? null);
    const { key, comment, example, default: usual } = setting;
    lines.push(example === null ? `## ${comment}` : `## ${comment} (default: ${usual ?? "none"})`);
    lines.push(value === null ? `# ${key}: ${example ?? usual}` : `${key}: ${value}`);
  }
  return lines.join("\n") + "\n";
}
