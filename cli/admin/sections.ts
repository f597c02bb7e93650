type Value = string | number | null | undefined;

/** Lines of `name: value` in sections; what is `undefined` is left out, and so are sections of nothing. */
export class Sections {
  readonly lines: string[] = [];

  add(title: string, values: Readonly<Record<string, Value>> | readonly (readonly [string, Value])[]): void {
    const entries: readonly (readonly [string, Value])[] = Array.isArray(values)
      ? values
      : Object.entries(values);
    const given = entries.filter(([, value]) => value !== undefined);
    if (given.length === 0) return;
    this.lines.push(...(this.lines.length > 0 ? [""] : []), `# ${title}`);
    for (const [name, value] of given) this.lines.push(`${name}: ${value ?? "none"}`);
  }
}
